# SPDX-License-Identifier: MIT
# packages.bash - a Debian in a directory, and packages and daemons in it: for packages.bats and tests/packages/clean.bats.
#
# $root is the directory. Nothing of systemd runs in there, and nothing is mounted: also not where tests run in a container.
# shellcheck disable=SC2154,SC2016 # variables are those of the file that loads this, or dpkg's

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# Those devices that there may be: without the right to make them /dev/null is a file.
make_devices() {
	mkdir -p "$root/dev"
	[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || install -m 666 /dev/null "$root/dev/null"
	[ -e "$root/dev/urandom" ] || mknod -m 444 "$root/dev/urandom" c 1 9 2>/dev/null || true
}

in_root() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		SHCOUNT_SOCKET=/run/shcounterd/shcounterd.sock SHCOUNT_AUTOSTART=0 chroot "$root" "$@"
}

# In the background: its process is the program's.
in_root_as_service() {
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot --userspec=shcounterd:shcounterd "$root" "$@"
}

# Every file but those of dpkg and apt, and the users, who stay.
files_of_root() {
	find "$root" -xdev \( -path "$root/var/lib/dpkg" -o -path "$root/var/lib/apt" -o -path "$root/var/cache" -o -path "$root/var/log" \
		-o -path "$root/packages" -o -path "$root/dev" \) -prune -o -printf '%P\n' |
		grep -vE '^etc/(passwd|group|shadow|gshadow)-?$|^etc/\.pwd\.lock$|^etc/\.updated|^etc/ld\.so\.cache' | LC_ALL=C sort
}

has_status() { # PACKAGE STATUS, as dpkg says it
	[ "$(in_root dpkg-query -W -f '${db:Status-Abbrev}' "$1")" = "$2 " ]
}

# The five packages, without those of debug symbols.
packages_in() { # DIRECTORY
	find "$1" -name '*.deb' ! -name '*-dbgsym_*'
}

# A copy of the packages that differs in the version only.
make_older() { # FROM TO VERSION
	local deb work
	mkdir -p "$2"
	for deb in $(packages_in "$1"); do
		work=$2/work
		rm -rf "$work"
		dpkg-deb -R "$deb" "$work"
		sed -i -e "s/^Version: .*/Version: $3/" -e "s/(= [^)]*)\(.*\)/(= $3)\1/" "$work/DEBIAN/control"
		dpkg-deb -Zgzip -b "$work" "$2" >/dev/null
	done
	rm -rf "$2/work"
}

# ---- a daemon by hand: what its unit would do ----

daemon_log() {
	cat "$root/run/shcounterd/log"
}

daemon_of_root_answers() {
	in_root shcount -q --timeout 1s ping 2>/dev/null || ! kill -0 "$(cat "$root.pid")" 2>/dev/null
}

start_in_root() {
	install -d -o "$(service_id u)" -g "$(service_id g)" "$root/run/shcounterd" "$root/var/lib/shcounterd"
	in_root_as_service shcounterd -f /etc/shcounterd.conf --socket /run/shcounterd/shcounterd.sock \
		--db /var/lib/shcounterd/counters.db >"$root/run/shcounterd/log" 2>&1 3>&- &
	echo $! >"$root.pid"
	wait_until daemon_of_root_answers
	kill -0 "$(cat "$root.pid")" || { daemon_log; return 1; }
}

service_id() { # u|g
	in_root id -"$1" shcounterd
}

daemon_of_root_has_left() {
	! kill -0 "$(cat "$root.pid")" 2>/dev/null
}

# It may be the child of another of bats' processes.
stop_in_root() {
	[ -e "$root.pid" ] || return 0
	kill "$(cat "$root.pid")" 2>/dev/null || true
	wait_until daemon_of_root_has_left
	rm "$root.pid"
}

# ---- the life of the packages in $root; $packages and $older are directories with them ----

# Installs with what the root has for that: `dpkg -i`, or apt, which may fetch.
install_packages() { # DIRECTORY
	rm -rf "$root/packages"
	mkdir "$root/packages"
	# shellcheck disable=SC2046 # several words
	cp $(packages_in "$1") "$root/packages/"
	in_root sh -c "${INSTALL:-dpkg -i} /packages/*.deb"
}

check_installed() {
	local package
	for package in shcounterd shcount shcount-gateway libshcount0 libshcount-dev; do has_status "$package" ii; done
	grep -q '^shcounterd:.*:/var/lib/shcounterd:' "$root/etc/passwd"
	grep -q '^shcounterd:' "$root/etc/group"
	# What systemd would start: the daemon, and neither the gateway, which has no tokens, nor the socket.
	[ "$(cd "$root/etc/systemd/system" && find . -name 'shcount*' -printf '%f\n')" = shcounterd.service ]
	[ ! -e "$root/var/lib/shcounterd" ]
}

check_counts() {
	start_in_root
	[ "$(in_root shcount incr packages 41)" = 41 ]
	stop_in_root
	start_in_root
	[ "$(in_root shcount incr packages)" = 42 ]
	[ "$(stat -c %u:%g "$root/var/lib/shcounterd/counters.db")" = "$(service_id u):$(service_id g)" ]
	stop_in_root
}

# Counts what was acknowledged into the file `acknowledged`, until the file `enough` is there.
count_in_root() {
	local n=0
	while [ ! -e "$root.enough" ]; do
		in_root shcount -q incr upgrade || { echo "refused after $n" >&2; return 1; }
		n=$((n + 1))
		echo $n >"$root.acknowledged"
	done
}

acknowledged() { # AT-LEAST
	[ "$(cat "$root.acknowledged")" -ge "$1" ]
}

# A daemon of the old version goes on counting beneath the new one's programs, and the new one takes over its state.
check_upgrade() {
	local counting n
	echo 'snapshot-interval = 7s' >>"$root/etc/shcounterd.conf"
	start_in_root
	echo 0 >"$root.acknowledged"
	rm -f "$root.enough"
	count_in_root 3>&- &
	counting=$!
	wait_until acknowledged 5
	install_packages "$packages"
	n=$(cat "$root.acknowledged")
	wait_until acknowledged $((n + 5))
	touch "$root.enough"
	wait $counting
	[ "$(in_root dpkg-query -W -f '${Version}' shcounterd)" = "$(dpkg-deb -f "$packages"/shcounterd_*.deb Version)" ]
	[ "$(in_root shcount get upgrade)" = "$(cat "$root.acknowledged")" ]
	stop_in_root
	start_in_root
	[ "$(in_root shcount get upgrade)" = "$(cat "$root.acknowledged")" ]
	[ "$(in_root shcount get packages)" = 42 ]
	stop_in_root
	grep -qx 'snapshot-interval = 7s' "$root/etc/shcounterd.conf"
}

all_packages=(shcounterd shcount shcount-gateway libshcount0 libshcount-dev)

check_remove() {
	in_root dpkg --remove "${all_packages[@]}"
	[ ! -e "$root/usr/bin/shcounterd" ]
	[ -s "$root/var/lib/shcounterd/counters.db" ]
	grep -qx 'snapshot-interval = 7s' "$root/etc/shcounterd.conf"
}

check_purge() { # FILE with what files_of_root said before
	in_root dpkg --purge "${all_packages[@]}"
	rm -rf "$root/run/shcounterd" # the unit's RuntimeDirectory, made here by hand
	files_of_root | diff "$1" -
}
