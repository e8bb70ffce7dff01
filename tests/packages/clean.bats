#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `make test-packages`: the tarball in a clean Debian that has the Build-Depends and nothing else, without a network, built
# twice; lintian; the packages' life in another clean one, with apt; and in a third that is booted, under systemd. What is
# fetched: Debian, from MIRROR.

load ../system/common
load ../system/packages
load booted

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	export BUILD=${BUILD:-$PWD/build} work=$BATS_FILE_TMPDIR
	export root=$work/root packages=$work/built older=$work/older booted=$work/booted
	export INSTALL="apt-get install -y -q --no-install-recommends"
	export SUITE=${SUITE:-bookworm} MIRROR=${MIRROR:-http://deb.debian.org/debian}
	unset MAKEFLAGS MFLAGS MAKELEVEL
	[ "$(id -u)" -ne 0 ] || debootstrap --variant=minbase "$SUITE" "$work/clean" "$MIRROR" >"$work/debootstrap.log" 2>&1 ||
		{ cat "$work/debootstrap.log"; return 1; }
}

teardown_file() {
	stop_in_root
	power_off
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	need_root
}

# Runs it in the other clean one.
in_builder() {
	root=$work/builder in_root "$@"
}

provide_network() {
	cp /etc/resolv.conf "$1/etc/resolv.conf"
}

@test "a clean Debian with the Build-Depends builds the packages, without a network" {
	cp -a "$work/clean" "$work/builder"
	provide_network "$work/builder"
	scripts/dist.sh "$work/dist"
	tar -C "$work/builder/tmp" -xzf "$work"/dist/*.tar.gz
	in_builder apt-get update -q
	in_builder sh -c 'apt-get build-dep -y -q --no-install-recommends /tmp/shcounterd-*/'
	unshare -n chroot "$work/builder" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TZ=UTC sh -c \
		'umask 022; cd /tmp/shcounterd-*/ && scripts/deb.sh /first'
	mkdir "$packages"
	find "$work/builder/first" -maxdepth 1 -type f -exec cp {} "$packages/" \;
}

@test "built again elsewhere and by others' habits, the packages are the same" {
	unshare -n chroot "$work/builder" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 TZ=Asia/Tokyo sh -c \
		'umask 077; mv /tmp/shcounterd-* /var/tmp/elsewhere; cd /var/tmp/elsewhere && scripts/deb.sh /second/place'
	for deb in "$packages"/*.deb "$packages"/*.tar.gz; do cmp "$deb" "$work/builder/second/place/$(basename "$deb")"; done
}

@test "lintian has no error and no warning" {
	run lintian --allow-root --fail-on error,warning "$packages"/*.changes
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "programs are compiled and linked against the installed library" {
	mkdir "$work/builder/packages"
	cp "$packages"/*.deb "$work/builder/packages/"
	in_builder sh -c "$INSTALL /packages/shcounterd_*.deb /packages/shcount_*.deb /packages/shcount-gateway_*.deb /packages/libshcount*[0v]_*.deb"
	install -m 755 debian/tests/library debian/tests/smoke "$work/builder/packages/"
	in_builder /packages/library
	in_builder /packages/smoke
}

@test "the packages install with apt where no systemd runs, and start nothing" {
	cp -a "$work/clean" "$root"
	provide_network "$root"
	make_older "$packages" "$older" 0.1.0
	in_root apt-get update -q
	# What they need is part of the system that they are to leave as it was.
	in_root apt-get install -y -q --no-install-recommends systemd-standalone-sysusers libbsd0 libgnutls30 libjansson4 libmd0 \
		libmicrohttpd12 libsqlite3-0 liburing2
	files_of_root >"$work/before"
	install_packages "$older"
	check_installed
}

@test "the installed daemon counts as its user, and what it has counted outlives it" {
	check_counts
}

@test "an upgrade beneath a running daemon loses nothing, and keeps a changed configuration" {
	check_upgrade
}

@test "remove keeps state and configuration" {
	check_remove
}

@test "purge leaves nothing but the user" {
	check_purge "$work/before"
}

# ---- under systemd ----

need_booted() {
	[ -e "$booted.pid" ] || skip "no Debian was booted"
}

@test "where systemd runs, installing the packages starts the daemon, and neither the gateway nor the socket" {
	command -v systemd-nspawn >/dev/null || skip "systemd-nspawn is not there"
	cp -a "$work/clean" "$booted"
	provide_network "$booted"
	root=$booted in_root apt-get update -q
	root=$booted in_root apt-get install -y -q --no-install-recommends systemd-sysv libpam-systemd dbus libbsd0 libgnutls30 libjansson4 \
		libmd0 libmicrohttpd12 libsqlite3-0 liburing2
	mkdir "$booted/older" "$booted/newer"
	cp "$older"/*.deb "$booted/older/"
	# shellcheck disable=SC2046 # several words
	cp $(packages_in "$packages") "$booted/newer/"
	boot
	in_booted sh -c 'dpkg -i /older/*.deb'
	[ "$(in_booted shcount incr booted 5)" = 5 ]
	[ "$(in_booted systemctl is-enabled shcounterd.service)" = enabled ]
	[ "$(in_booted systemctl is-enabled shcounterd.socket)" = disabled ]
	[ "$(in_booted systemctl is-active shcounterd.socket)" = inactive ]
	[ "$(in_booted systemctl is-active shcount-gateway.service)" = inactive ]
	in_booted systemd-analyze verify --man=no shcounterd.service shcounterd.socket shcount-gateway.service
}

@test "who is in the daemon's group may count, and nobody else" {
	need_booted
	in_booted useradd --create-home ann
	run as_user ann shcount incr booted
	[ "$status" -eq 77 ]
	in_booted usermod --append --groups shcounterd ann
	[ "$(as_user ann shcount incr booted)" = 6 ]
}

@test "it is reloaded by systemctl, and says what is wrong with a configuration" {
	need_booted
	before=$(main_pid shcounterd)
	in_booted sh -c 'echo "audit = audited:*" >>/etc/shcounterd.conf'
	in_booted systemctl reload shcounterd
	wait_until audits
	in_booted sed -i 's/^audit = .*/audit-max = nonsense/' /etc/shcounterd.conf
	in_booted systemctl reload shcounterd
	wait_until journal_has shcounterd "nonsense"
	in_booted sed -i /nonsense/d /etc/shcounterd.conf
	[ "$(main_pid shcounterd)" = "$before" ]
}

audits() {
	in_booted shcount incr audited:x >/dev/null && in_booted shcount log audited:x
}

@test "restarted by systemctl or by systemd after SIGKILL, it goes on with what is on disk" {
	need_booted
	in_booted systemctl restart shcounterd
	[ "$(in_booted shcount incr booted)" = 7 ]
	in_booted shcount sync
	before=$(main_pid shcounterd)
	in_booted systemctl kill --kill-who=main --signal=KILL shcounterd
	wait_until is_replaced shcounterd "$before"
	[ "$(in_booted shcount get booted)" = 7 ]
}

@test "a daemon that stands still is replaced by the watchdog" {
	need_booted
	in_booted mkdir -p /run/systemd/system/shcounterd.service.d
	in_booted sh -c 'printf "[Service]\nWatchdogSec=2s\n" >/run/systemd/system/shcounterd.service.d/soon.conf'
	in_booted systemctl daemon-reload
	in_booted systemctl restart shcounterd
	before=$(main_pid shcounterd)
	in_booted systemctl kill --kill-who=main --signal=STOP shcounterd
	wait_until is_replaced shcounterd "$before"
	journal_has shcounterd "Watchdog timeout"
	[ "$(in_booted shcount get booted)" = 7 ]
	in_booted rm -r /run/systemd/system/shcounterd.service.d
	in_booted systemctl daemon-reload
	in_booted systemctl restart shcounterd
}

@test "its socket unit starts it with the first client, and keeps who comes while it is restarted" {
	need_booted
	in_booted systemctl stop shcounterd.service
	in_booted systemctl enable --now shcounterd.socket
	[ "$(in_booted systemctl is-active shcounterd.service)" = inactive ]
	[ "$(in_booted shcount get booted)" = 7 ]
	in_booted systemctl --quiet is-active shcounterd.service
	count_in_booted 3>&- &
	counting=$!
	wait_until acknowledged_in_booted 5
	in_booted systemctl restart shcounterd.service
	n=$(cat "$booted.acknowledged")
	wait_until acknowledged_in_booted $((n + 5))
	touch "$booted.enough"
	wait $counting
	[ "$(in_booted shcount get restarted)" = "$(cat "$booted.acknowledged")" ]
}

# With tokens: one that was counted when the daemon left, and not told, is asked for again.
count_in_booted() {
	local n=0
	until [ -e "$booted.enough" ]; do
		in_booted shcount --timeout 20s incr restarted --once "token$n" >/dev/null || return 1
		n=$((n + 1))
		echo $n >"$booted.acknowledged"
	done
}

acknowledged_in_booted() { # AT-LEAST
	[ "$(cat "$booted.acknowledged" 2>/dev/null || echo 0)" -ge "$1" ]
}

@test "the gateway serves under its unit, through the daemon's socket" {
	need_booted
	in_booted systemctl start shcount-gateway
	gateway_says GET "/counter/value?counter_id=booted" '"current_value":7'
	in_booted systemctl reload shcount-gateway
	in_booted systemctl --quiet is-active shcount-gateway
}

# What is installed there has no HTTP client; this machine's, in that network.
gateway_says() { # METHOD PATH TEXT
	nsenter --target "$(leader)" --net curl -sS -X "$1" "http://127.0.0.1:8480$2" | tee /dev/stderr | grep -qF "$3"
}

@test "a user's own units serve him where shcount looks" {
	need_booted
	in_booted useradd --create-home bob
	in_booted loginctl enable-linger bob
	in_booted systemctl start "user@$(in_booted id -u bob).service"
	as_user bob systemctl --user enable --now shcounterd.socket
	socket=/run/user/$(in_booted id -u bob)/shcounterd/shcounterd.sock
	[ "$(as_user bob shcount incr own)" = 1 ]
	[ "$(as_user bob shcount -s "$socket" incr own)" = 2 ]
	as_user bob systemctl --user reload shcounterd
	as_user bob systemctl --user restart shcounterd
	[ "$(as_user bob shcount get own)" = 2 ]
	[ "$(in_booted stat -c %U:%a /home/bob/.local/state/shcounterd)" = bob:700 ]
}

@test "an upgrade restarts the daemon on its state, and does not touch its socket" {
	need_booted
	before=$(main_pid shcounterd)
	since=$(in_booted systemctl show --property=ActiveEnterTimestampMonotonic --value shcounterd.socket)
	in_booted sh -c 'dpkg -i /newer/*.deb'
	[ "$(main_pid shcounterd)" != "$before" ]
	[ "$(in_booted shcount get booted)" = 7 ]
	[ "$(in_booted systemctl show --property=ActiveEnterTimestampMonotonic --value shcounterd.socket)" = "$since" ]
}

@test "a boot starts it, with what was counted before" {
	need_booted
	in_booted shcount incr booted >/dev/null
	power_off
	boot
	[ "$(in_booted shcount get booted)" = 8 ]
}

@test "states that earlier releases left, killed, are taken over under the unit" {
	need_booted
	in_booted systemctl stop shcounterd.socket shcounterd.service
	for state in tests/system/data/states/v*.tar.xz; do
		rm -f "$booted"/var/lib/shcounterd/counters.db*
		tar -C "$booted/var/lib/shcounterd" --no-same-owner -xf "$state"
		in_booted sh -c 'chown -R shcounterd:shcounterd /var/lib/shcounterd/.'
		in_booted systemctl start shcounterd.service
		[ "$(in_booted shcount get changed)" = "$(jq -r .counters.changed "${state%.tar.xz}.json")" ]
		in_booted systemctl stop shcounterd.service
	done
}

@test "purged beneath systemd, nothing of the service is left, and nothing has failed" {
	need_booted
	in_booted systemctl start shcount-gateway
	in_booted dpkg --purge shcounterd shcount-gateway
	[ ! -e "$booted/var/lib/shcounterd" ]
	in_booted test ! -e /run/shcounterd
	run in_booted systemctl list-units --all --plain --no-legend 'shcount*'
	echo "$output"
	[ -z "$output" ]
	[ -z "$(in_booted systemctl list-units --failed --plain --no-legend)" ]
}
