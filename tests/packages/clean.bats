#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `make test-packages`: the tarball in a clean Debian that has the Build-Depends and nothing else, without a network, built
# twice; lintian; and the packages' life in another clean one, with apt. What is fetched: Debian, from MIRROR.

load ../system/common
load ../system/packages

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	export BUILD=${BUILD:-$PWD/build} work=$BATS_FILE_TMPDIR
	export root=$work/root packages=$work/built older=$work/older
	export INSTALL="apt-get install -y -q --no-install-recommends"
	export SUITE=${SUITE:-bookworm} MIRROR=${MIRROR:-http://deb.debian.org/debian}
	unset MAKEFLAGS MFLAGS MAKELEVEL
	[ "$(id -u)" -ne 0 ] || debootstrap --variant=minbase "$SUITE" "$work/clean" "$MIRROR" >"$work/debootstrap.log" 2>&1 ||
		{ cat "$work/debootstrap.log"; return 1; }
}

teardown_file() {
	stop_in_root
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
