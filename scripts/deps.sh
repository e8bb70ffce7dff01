#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/deps.sh GROUP...: installs the Debian packages of the groups `build`, `demo`, `test`, `bench`, `packages` and
# `test-packages` that are missing.
# Needs root or sudo only when something is missing. Elsewhere than on Debian it says what is wanted and goes on. For
# `build` and `test` also what the live page is built and tested with (gateway/page/package-lock.json), by npm, into
# build/npm: without that the page has simpler charts, and its tests are skipped.
set -euo pipefail

build=(gcc make pkg-config libc6-dev libbsd-dev libgnutls28-dev libjansson-dev libmicrohttpd-dev libsqlite3-dev libssl-dev
	liburing-dev libzstd-dev zlib1g-dev)
# redis-tools has redis-cli, redis-benchmark and (as redis-check-rdb) redis-server itself, but no service to start.
test=(bats chromium clang clang-format curl debhelper fish libclang-rt-dev libcmocka-dev libhiredis-dev jq mandoc netcat-openbsd openssl python3 python3-jsonschema python3-redis redis-tools shellcheck
	prometheus python3-seccomp socat sqlite3 systemd valgrind zsh zstd)
demo=(curl)
# For building Debian packages, and for trying them in a Debian of their own; debian/control has debhelper's version.
packages=(debhelper dpkg-dev)
test_packages=(bats curl debootstrap jq lintian procps systemd-container)
bench=(mawk memcached perl python3 python3-redis redis-tools util-linux wrk)

wanted=()
for group in "$@"; do
	case $group in
	build) wanted+=("${build[@]}") ;;
	demo) wanted+=("${demo[@]}") ;;
	test) wanted+=("${test[@]}") ;;
	bench) wanted+=("${bench[@]}") ;;
	packages) wanted+=("${packages[@]}") ;;
	test-packages) wanted+=("${test_packages[@]}") ;;
	*) echo "deps.sh: no group '$group': choose build, demo, test, bench, packages or test-packages" >&2; exit 64 ;;
	esac
done

# Node need not be Debian's.
has_npm() {
	command -v node >/dev/null && command -v npm >/dev/null
}
# An unpacked tarball has what it needs from there.
has_uplot() {
	[ -d "$(dirname "$0")/../gateway/page/uplot" ]
}
case " $* " in *" test "*) has_npm || wanted+=(nodejs npm) ;; *" build "*) has_uplot || has_npm || wanted+=(nodejs npm) ;; esac

# Once for each list of packages, unless more is wanted than there is.
fetch_npm_packages() { # build|test
	local top to=build/npm list options=(--ignore-scripts --no-audit --no-fund --loglevel=error)
	top=$(cd "$(dirname "$0")/.." && pwd)
	to=$top/$to
	list=$(cksum <"$top/gateway/page/package-lock.json")
	case $(cat "$to/has" 2>/dev/null || true) in "test $list" | "$1 $list") return 0 ;; esac
	[ "$1" = test ] || options+=(--omit=dev)
	mkdir -p "$to"
	rm -f "$to/has"
	cp "$top"/gateway/page/package{,-lock}.json "$to/"
	if has_npm && (cd "$to" && npm ci "${options[@]}" </dev/null); then
		echo "$1 $list" >"$to/has"
	else
		echo "deps.sh: npm could not fetch what gateway/page/package-lock.json lists; going on without" >&2
	fi
}
finish() {
	case " $* " in
	*" test "*) fetch_npm_packages test ;;
	*" build "*) has_uplot || fetch_npm_packages build ;;
	esac
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: no apt-get here; install what these Debian packages hold: ${wanted[*]}" >&2
	finish "$@"
	exit 0
fi

missing=()
for package in "${wanted[@]}"; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
	finish "$@"
	exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
		exit 77
	fi
	as_root=(sudo)
fi

echo "installing: ${missing[*]}"
install() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}
# A fresh machine has no lists yet, or old ones.
install || { "${as_root[@]}" apt-get update -qq && install; }

# They come as services that start at once, and nobody has asked for that.
for service in memcached prometheus prometheus-node-exporter; do
	if [[ " ${missing[*]} " == *" ${service%-node*} "* ]] && [ -d /run/systemd/system ]; then
		"${as_root[@]}" systemctl disable --now "$service" 2>/dev/null || true
	fi
done

finish "$@"
