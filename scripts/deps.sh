#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/deps.sh GROUP...: installs the Debian packages of the groups `build`, `test` and `bench` that are missing.
# Needs root or sudo only when something is missing. Elsewhere than on Debian it says what is wanted and goes on.
set -euo pipefail

build=(gcc make pkg-config libc6-dev libbsd-dev libjansson-dev libmicrohttpd-dev libsqlite3-dev libssl-dev liburing-dev libzstd-dev
	zlib1g-dev)
# redis-tools has redis-cli, redis-benchmark and (as redis-check-rdb) redis-server itself, but no service to start.
test=(bats clang clang-format curl fish libclang-rt-dev libcmocka-dev jq mandoc openssl python3 python3-jsonschema python3-redis redis-tools shellcheck
	prometheus python3-seccomp socat sqlite3 systemd valgrind zsh zstd)
bench=(mawk memcached perl python3 python3-redis redis-tools util-linux wrk)

wanted=()
for group in "$@"; do
	case $group in
	build) wanted+=("${build[@]}") ;;
	test) wanted+=("${test[@]}") ;;
	bench) wanted+=("${bench[@]}") ;;
	*) echo "deps.sh: no group '$group': choose build, test or bench" >&2; exit 64 ;;
	esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: no apt-get here; install what these Debian packages hold: ${wanted[*]}" >&2
	exit 0
fi

missing=()
for package in "${wanted[@]}"; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

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
