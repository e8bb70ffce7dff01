#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/dist.sh TO: the source of a commit as TO/shcounterd-VERSION.tar.gz, the same bytes whoever makes it, when and
# where: of HEAD, or of the commit DIST_REF; in an unpacked tarball of the tree there, but for what was built. Whoever has
# the tarball needs no network: uPlot, with its licence, is in gateway/page/uplot, from where `make deps` has put it.
set -euo pipefail
cd "$(dirname "$0")/.."

top=$PWD to=${1:?usage: $0 TO}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to"

# The checkout may be somebody else's.
in_git() {
	git -c safe.directory="$top" "$@"
}

# What npm has fetched of the very list that is in the tree: it has checked that against the hashes there.
add_uplot() { # TREE
	local npm=build/npm list from=build/npm/node_modules/uplot
	list=$(cksum <"$1/gateway/page/package-lock.json")
	case $(cat $npm/has 2>/dev/null || true) in
	"build $list" | "test $list") ;;
	*) echo "dist.sh: uPlot, of gateway/page/package-lock.json, is not in $npm: run make deps" >&2; exit 69 ;;
	esac
	mkdir "$1/gateway/page/uplot"
	# The first is what the second was made of, for people.
	cp $from/LICENSE $from/dist/uPlot.iife.js $from/dist/uPlot.iife.min.js $from/dist/uPlot.min.css "$1/gateway/page/uplot/"
}

mkdir "$work/tree"
if [ -e .git ]; then
	ref=${DIST_REF:-HEAD}
	in_git archive --format=tar "$ref" | tar -x -C "$work/tree"
	time=$(in_git log -1 --format=%ct "$ref")
	[ "$ref" != HEAD ] || in_git diff --quiet HEAD || echo "dist.sh: what is not committed is not in it" >&2
	add_uplot "$work/tree"
else
	tar -c --exclude='./build' --exclude='./build-*' . | tar -x -C "$work/tree"
	time=${SOURCE_DATE_EPOCH:-$(stat -c %Y VERSION)}
fi

name=shcounterd-$(cat "$work/tree/VERSION")
mv "$work/tree" "$work/$name"
LC_ALL=C tar -C "$work" --format=gnu --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner \
	--mode='u=rwX,go=rX' -c "$name" | gzip -9n >"$work/tarball"
mv "$work/tarball" "$to/$name.tar.gz"
echo "$to/$name.tar.gz"
