#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/uplot.sh uplot.js|uplot.css: what the live page is built with, on stdout: uPlot with its licence, from where
# scripts/deps.sh has npm put it, or scripts/dist.sh; or, where that is not, a word to the page's reader, and the page draws
# simpler charts.
set -euo pipefail
cd "$(dirname "$0")/.."

package=build/npm/node_modules/uplot dist=build/npm/node_modules/uplot/dist
# An unpacked tarball has its own.
[ ! -d gateway/page/uplot ] || package=gateway/page/uplot dist=gateway/page/uplot
case ${1:-} in
uplot.js) file=$dist/uPlot.iife.min.js ;;
uplot.css) file=$dist/uPlot.min.css ;;
*) echo "usage: $0 uplot.js|uplot.css" >&2; exit 64 ;;
esac

if [ -r "$file" ] && [ -r $package/LICENSE ]; then
	echo '/*!'
	cat $package/LICENSE
	echo '*/'
	cat "$file"
else
	[ "$1" = uplot.css ] || echo "uPlot is not there (make deps fetches it): the live page will have simpler charts" >&2
	echo '/* Built without uPlot. */'
fi
