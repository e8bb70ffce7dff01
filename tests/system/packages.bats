#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The tarball of `make dist` and the Debian packages, offline: built of the objects that the other tests use, installed into a
# Debian made of this machine's packages. `make test-packages` does it in a clean one, from the sources (tests/packages).

load common
load packages

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	export BUILD=${BUILD:-$PWD/build} work=$BATS_FILE_TMPDIR
	export root=$work/root packages=$work/built older=$work/older
	unset MAKEFLAGS MFLAGS MAKELEVEL
	# The checkout may be somebody else's.
	export GIT_CONFIG_GLOBAL=$work/gitconfig
	git config --global safe.directory '*'
	git config --global user.name tests
	git config --global user.email tests@localhost
}

teardown_file() {
	stop_in_root
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
}

need_uplot() {
	[ -d gateway/page/uplot ] || [ -r build/npm/node_modules/uplot/LICENSE ] || skip "uPlot is not there (make deps fetches it)"
}

need_built() {
	[ -e "$work/is-built" ] || skip "the packages were not built"
}

# ---- the tarball ----

@test "two clones make the same tarball, whatever their users' habits are" {
	[ -e .git ] || skip "not a git checkout"
	need_uplot
	for clone in a b; do
		git clone -q . "$work/$clone"
		mkdir "$work/$clone/build"
		ln -s "$PWD/build/npm" "$work/$clone/build/npm"
	done
	(cd "$work/a" && umask 077 && TZ=UTC LC_ALL=C scripts/dist.sh dist)
	touch "$work/b"/*
	(cd "$work/b" && umask 000 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 TAR_OPTIONS=--owner=nobody GZIP=-1 scripts/dist.sh dist)
	cmp "$work"/[ab]/dist/*.tar.gz
}

@test "a tarball makes itself again, without git and npm" {
	need_uplot
	mkdir "$work/dist" "$work/tree"
	scripts/dist.sh "$work/dist"
	tar -C "$work/tree" -xzf "$work"/dist/*.tar.gz
	cd "$work"/tree/*
	mkdir build && touch build/something
	PATH=$work/none:/usr/bin:/bin scripts/dist.sh "$work/again"
	cmp "$work"/dist/*.tar.gz "$work"/again/*.tar.gz
	[ "$(scripts/uplot.sh uplot.js)" = "$("$OLDPWD/scripts/uplot.sh" uplot.js)" ]
}

# ---- the packages ----

# A release is 1.2.3; what leads to it is 1.2.3-dev, which Debian must write 1.2.3~dev.
@test "programs, packages, changes, API and images have the version that VERSION says" {
	version=$(cat VERSION) release=${version%-dev}
	[[ $release =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "$("$BUILD/shcounterd" --version)" = "shcounterd $version" ]
	[ "$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)" = "${version/-/\~}" ]
	[ "$(grep -m 1 '^## ' CHANGES.md)" = "## $release$([ "$version" = "$release" ] || echo ' (not released yet)')" ]
	[ "$(jq -r .info.version gateway/page/openapi.json)" = "$version" ]
	[ "$(grep -rhoE '\<shcounterd:[0-9][^ ]*' deploy docs/deploy.md | sort -u)" = "shcounterd:$version" ]
}

@test "no command and no symbol says that it is of a later release than this" {
	release=$(sed 's/-dev//' VERSION)
	for since in $(grep -A 2 -hE '^[[:space:]]\{"shc\.' daemon/request*.c | grep -oE '"[0-9]+\.[0-9]+\.[0-9]+"' | tr -d '"' | sort -u) \
		$(grep -oE '\<SHCOUNT_[0-9.]+ ' lib/libshcount.map | tr -d 'A-Z_ '); do
		dpkg --compare-versions "$since" le "$release" || { echo "$since"; return 1; }
	done
}

# What is in the tree now, committed or not; with Debian's directories, and the flags that the objects have.
build_packages() {
	local ref kind
	flock "$BUILD/make.lock" make -s BUILD="$BUILD" all
	ref=$(git stash create 2>/dev/null || true)
	rm -rf "$work/dist"
	DIST_REF=${ref:-HEAD} scripts/dist.sh "$work/dist"
	mkdir "$packages"
	tar -C "$packages" -xzf "$work"/dist/*.tar.gz
	cd "$packages"/shcounterd-*/ || return
	mkdir build
	cp -r "$BUILD"/flags "$BUILD"/page build/
	# Objects are newer than all that they are made of.
	find . -exec touch -d @1 {} +
	for kind in cmd daemon gateway lib; do cp -r "$BUILD/$kind" build/; done
	# -nc: nothing is cleaned away.
	DEB_CFLAGS_SET="-O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2" DEB_CPPFLAGS_SET="" DEB_LDFLAGS_SET="" \
		CC=$(sed 's/ -std=.*//' "$BUILD/flags") dpkg-buildpackage -us -uc -b -d -nc -Zgzip -j2
}

@test "the packages are built, with what was built before" {
	need_uplot
	build_packages
	touch "$work/is-built"
}

@test "every file of make install is in one package, and the packages have no others but their papers" {
	need_built
	dest=$BATS_TEST_TMPDIR/dest
	flock "$BUILD/make.lock" make -s BUILD="$BUILD" install DESTDIR="$dest" PREFIX=/usr UNITDIR=/lib/systemd/system \
		LIBDIR=/usr/lib/"$(dpkg-architecture -qDEB_HOST_MULTIARCH)"
	(cd "$dest" && find . ! -type d | LC_ALL=C sort) >"$work/installed"
	# Each package has a place of its own for examples, and manuals are compressed.
	for deb in $(packages_in "$packages"); do dpkg-deb --fsys-tarfile "$deb" | tar -t | grep -v '/$'; done |
		sed -e 's,\(/share/doc/\)[^/]*\(/examples/[^/]*\)$,\1shcounterd\2,' -e 's,\(/share/man/.*\)\.gz$,\1,' |
		LC_ALL=C sort >"$work/packed"
	run uniq -d "$work/packed"
	expect "$(grep -v /share/doc/ <<<"$output")" ""
	run bash -c "LC_ALL=C comm -23 $work/installed $work/packed"
	expect "$output" ""
	run bash -c "LC_ALL=C comm -13 $work/installed $work/packed | grep -vE '^./usr/share/(doc|lintian)/'"
	expect "$output" "./usr/lib/sysusers.d/shcount-gateway.conf"
}

@test "what docs/deploy.md tells to copy is in the package that it is in" {
	need_built
	dpkg-deb --fsys-tarfile "$packages"/shcounterd_*.deb | tar -t >"$work/shcounterd"
	grep -qx ./usr/share/doc/shcounterd/deploy.md "$work/shcounterd" || grep -qx ./usr/share/doc/shcounterd/deploy.md.gz "$work/shcounterd"
	run bash -c "find deploy -type f -printf './usr/share/doc/shcounterd/examples/%p\n' | grep -vxFf $work/shcounterd"
	expect "$output" ""
}

@test "there are debug symbols for each program and the library" {
	need_built
	for package in shcounterd shcount shcount-gateway libshcount0; do
		[ -f "$packages/${package}-dbgsym_$(dpkg-deb -f "$packages"/shcounterd_*.deb Version)_$(dpkg --print-architecture).deb" ]
	done
}

@test "every package tells the licences, that of uPlot, too, and uPlot is in the gateway" {
	need_built
	for deb in $(packages_in "$packages"); do
		dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards '*/copyright' | grep -q "Leon Sorokin"
	done
	dpkg-deb --fsys-tarfile "$packages"/shcount-gateway_*.deb | tar -xO ./usr/bin/shcount-gateway | grep -qa "Leon Sorokin"
}

# ---- their life ----

@test "the packages install where no systemd runs, and start nothing" {
	need_root
	need_built
	make_older "$packages" "$older" 0.1.0
	mkdir "$root"
	# shellcheck disable=SC2046 # several words
	/usr/bin/python3 tests/system/py/host_root.py "$root" systemd $(for deb in $(packages_in "$packages"); do dpkg-deb -f "$deb" Depends; done |
		tr ',' '\n' | sed -e 's/[(|].*//' -e '/libshcount0/d')
	make_devices
	files_of_root >"$work/before"
	install_packages "$older"
	check_installed
}

@test "the installed daemon counts as its user, and what it has counted outlives it" {
	need_root
	need_built
	check_counts
}

@test "an upgrade beneath a running daemon loses nothing, and keeps a changed configuration" {
	need_root
	need_built
	check_upgrade
}

@test "remove keeps state and configuration" {
	need_root
	need_built
	check_remove
}

@test "purge leaves nothing but the user" {
	need_root
	need_built
	check_purge "$work/before"
}
