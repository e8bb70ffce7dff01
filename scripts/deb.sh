#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/deb.sh TO: Debian packages of what scripts/dist.sh makes, in TO, built in TO/shcounterd-VERSION. What building
# needs is in debian/control; dpkg says what of it is missing. Nothing is fetched, no root is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

to=${1:?usage: $0 TO}
mkdir -p "$to"
rm -rf "$to"/shcounterd-*/ "$to"/*.deb "$to"/shcounterd_*
tarball=$(scripts/dist.sh "$to")
tar -C "$to" -xzf "$tarball"
# The caller's variables are for his own build.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES BUILD SAN CC CFLAGS CPPFLAGS LDFLAGS PREFIX
cd "${tarball%.tar.gz}"
dpkg-buildpackage -us -uc -j"$(nproc)"
cd ..
echo
ls -1 ./*.deb
