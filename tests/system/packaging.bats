#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What `make install` puts where, and that libraries, units and the configuration are fit for use. What is written is in words.bats.

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	BUILD=${BUILD:-$PWD/build}
	dest=$BATS_TEST_TMPDIR/dest
	unset MAKEFLAGS MFLAGS MAKELEVEL
}

# A build of its own for the templates would be slow, so all tests share BUILD; only one at a time runs make in it, those
# of library.bats included.
make_it() {
	flock "$BUILD/make.lock" make -s BUILD="$BUILD" "$@"
}

@test "install puts every file below DESTDIR, and only there" {
	make_it install DESTDIR="$dest" PREFIX=/usr
	for file in usr/bin/shcounterd usr/bin/shcount usr/bin/shcount-gateway usr/lib/libshcount.a usr/lib/libshcount.so.0 \
		usr/include/shcount.h usr/lib/pkgconfig/shcount.pc usr/lib/systemd/system/shcounterd.service \
		usr/lib/systemd/system/shcounterd.socket usr/lib/systemd/user/shcounterd.service usr/lib/systemd/user/shcounterd.socket usr/lib/sysusers.d/shcounterd.conf etc/shcounterd.conf \
		usr/lib/systemd/system/shcount-gateway.service etc/shcount-gateway.conf usr/share/man/man8/shcount-gateway.8 \
		usr/share/bash-completion/completions/shcount-gateway usr/share/zsh/site-functions/_shcount-gateway \
		usr/share/fish/vendor_completions.d/shcount-gateway.fish \
		usr/share/man/man1/shcount.1 usr/share/man/man8/shcounterd.8 usr/share/man/man5/shcounterd.conf.5 \
		usr/share/man/man3/libshcount.3 usr/share/man/man3/shc_incr.3 \
		usr/share/man/man7/shcounter-protocol.7 usr/share/bash-completion/completions/shcount \
		usr/share/bash-completion/completions/shcounterd usr/share/zsh/site-functions/_shcount \
		usr/share/zsh/site-functions/_shcounterd usr/share/fish/vendor_completions.d/shcount.fish \
		usr/share/fish/vendor_completions.d/shcounterd.fish; do
		[ -f "$dest/$file" ] || { echo "missing: $file"; return 1; }
	done
	[ "$(readlink "$dest/usr/lib/libshcount.so")" = libshcount.so.0 ]
	[ -x "$dest/usr/bin/shcount" ]
	[ ! -x "$dest/usr/include/shcount.h" ]
}

@test "uninstall leaves nothing behind" {
	make_it install DESTDIR="$dest"
	make_it uninstall DESTDIR="$dest"
	run find "$dest" ! -type d
	[ "$output" = "" ]
}

@test "a changed configuration survives install and uninstall" {
	mkdir -p "$dest/etc"
	echo "workers = 1" >"$dest/etc/shcounterd.conf"
	make_it install DESTDIR="$dest"
	make_it uninstall DESTDIR="$dest"
	[ "$(cat "$dest/etc/shcounterd.conf")" = "workers = 1" ]
	[ ! -e "$dest/etc/shcount-gateway.conf" ]
}

@test "the units start daemon and gateway where PREFIX put it, with the configuration of that place" {
	make_it install DESTDIR="$dest" PREFIX=/opt/counters
	unit=$dest/opt/counters/lib/systemd/system/shcounterd.service
	grep -qx 'ExecStart=/opt/counters/bin/shcounterd -f /opt/counters/etc/shcounterd.conf' "$unit"
	[ -f "$dest/opt/counters/etc/shcounterd.conf" ]
	grep -q 'exec /opt/counters/bin/shcounterd ' "$dest/opt/counters/lib/systemd/user/shcounterd.service"
	unit=$dest/opt/counters/lib/systemd/system/shcount-gateway.service
	grep -qx 'ExecStart=/opt/counters/bin/shcount-gateway -f /opt/counters/etc/shcount-gateway.conf' "$unit"
	[ -f "$dest/opt/counters/etc/shcount-gateway.conf" ]
	run grep -rlI '@[A-Z][A-Z]*@' "$dest"
	[ "$output" = "" ]
}

@test "the units are closed enough for systemd-analyze security" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	make_it install DESTDIR="$dest"
	for unit in shcounterd shcount-gateway; do
		run systemd-analyze security --offline=true --threshold=15 "$dest/usr/local/lib/systemd/system/$unit.service"
		[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	done
}

# In the place where they say that the programs are.
@test "systemd-analyze verify finds nothing in any unit, the user's included" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	make_it install PREFIX="$dest"
	run systemd-analyze verify --man=no "$dest"/lib/systemd/system/*
	[ "$status" -eq 0 ]
	[ "$output" = "" ]
	mkdir -m 700 "$BATS_TEST_TMPDIR/run"
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run run systemd-analyze verify --user --man=no "$dest"/lib/systemd/user/*
	[ "$status" -eq 0 ]
	[ "$output" = "" ]
}

@test "sysusers makes the user that the units run as, and whose group may connect" {
	command -v systemd-sysusers >/dev/null || skip "systemd-sysusers is not installed"
	make_it install DESTDIR="$dest" PREFIX=/usr
	run systemd-sysusers --root="$dest" shcounterd.conf
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	grep -q '^shcounterd:.*:/var/lib/shcounterd:' "$dest/etc/passwd"
	grep -q '^shcounterd:' "$dest/etc/group"
	grep -qx 'User=shcounterd' "$dest/usr/lib/systemd/system/shcounterd.service"
	grep -qx 'SupplementaryGroups=shcounterd' "$dest/usr/lib/systemd/system/shcount-gateway.service"
}

loaded_by() { # PROGRAM
	readelf -d "$BUILD/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

@test "shcount loads nothing but libc" {
	run loaded_by shcount
	[ "$output" = libc.so.6 ]
}

@test "shcounterd loads io_uring, SQLite, libbsd and libmd, and no OpenSSL" {
	run bash -c "$(declare -f loaded_by); loaded_by shcounterd | LC_ALL=C sort | sed 's/\.so.*//' | paste -sd' '"
	[ "$output" = "libbsd libc libmd libsqlite3 liburing" ]
}

@test "shcount-gateway loads libmicrohttpd, gnutls, jansson, libbsd and libmd, and no OpenSSL" {
	run bash -c "$(declare -f loaded_by); loaded_by shcount-gateway | LC_ALL=C sort | sed 's/\.so.*//' | paste -sd' '"
	[ "$output" = "libbsd libc libgnutls libjansson libmd libmicrohttpd" ]
}

@test "the programs tell the version of the file VERSION" {
	[[ "$("$BUILD/shcounterd" --version)" == *"$(cat VERSION)"* ]]
	[[ "$("$BUILD/shcount" --version)" == *"$(cat VERSION)"* ]]
	[[ "$("$BUILD/shcount-gateway" --version)" == *"$(cat VERSION)"* ]]
}

@test "every line of the installed configuration is right when its # is taken away" {
	# A group that every machine has, and rules that are there.
	echo "others read" >"$BATS_TEST_TMPDIR/access"
	sed -e 's/^#\([a-z-]* = \)/\1/' -e 's/^socket-group = .*/socket-group = root/' \
		-e "s|^access = .*|access = $BATS_TEST_TMPDIR/access|" systemd/shcounterd.conf >"$BATS_TEST_TMPDIR/all.conf"
	run "$BUILD/shcounterd" -f "$BATS_TEST_TMPDIR/all.conf" --db "$BATS_TEST_TMPDIR/none.db" --check
	[[ "$output" != *all.conf:* ]]
	# It came as far as the database, which is not there.
	[[ "$output" == *none.db* ]]
}

@test "every line of the gateway's installed configuration is right when its # is taken away" {
	sed -e 's/^#\([a-z-]* = \)/\1/' systemd/shcount-gateway.conf >"$BATS_TEST_TMPDIR/all.conf"
	# It comes as far as the certificate, which is not there.
	run "$BUILD/shcount-gateway" -f "$BATS_TEST_TMPDIR/all.conf" --tls-cert "$BATS_TEST_TMPDIR/none.pem" --tls-key "$BATS_TEST_TMPDIR/none.pem"
	[ "$status" -eq 78 ]
	[[ "$output" != *all.conf:* ]]
	[[ "$output" == *none.pem* ]]
}

@test "make help names every target that people call" {
	run make_it help
	for target in demo test install dist deb test-packages uninstall bench soak unit system lint fuzz deps test-deps clean; do
		[[ "$output" == *"$target"* ]]
	done
}
