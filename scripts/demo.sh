#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/demo.sh BUILD: shows shcounterd at work on the package manager's log of this machine, in a directory of its
# own that is gone afterwards. Fails loudly when a value is not back after a crash.
set -euo pipefail

build=${1:?usage: scripts/demo.sh BUILD-DIRECTORY}
PATH=$(cd "$build" && pwd):$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/shcounterd-demo.XXXXXX")
export SHCOUNT_SOCKET=$dir/s
export no_proxy='*' # curl's, to an address of this machine
unset SHCOUNT_URL
daemon=
gateway=

finish() {
	local process
	for process in $gateway $daemon; do
		kill "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap finish EXIT

say() {
	if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n%s\n' "$*"
	fi
}

# Prints a command as one would type it, then runs it.
run() {
	local word
	printf '$'
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	"$@"
}

die() {
	echo "demo: $*" >&2
	exit 1
}

lines_to_count() {
	awk 'NF >= 3 { n++ } END { print n + 0 }' "$log"
}

start_daemon() {
	printf '$ shcounterd --socket %s --db %s &\n' "$SHCOUNT_SOCKET" "$dir/counters.db"
	shcounterd --socket "$SHCOUNT_SOCKET" --db "$dir/counters.db" &
	daemon=$!
	# Asks until it answers; 100 times 50 ms.
	for _ in {1..100}; do
		if shcount ping >/dev/null 2>&1; then return; fi
		kill -0 "$daemon" 2>/dev/null || die "the daemon has ended"
		read -rt 0.05 <> <(:) || true
	done
	die "the daemon does not answer"
}

# On a port that is free; its address is in $url.
start_gateway() {
	printf '$ shcount-gateway --listen 127.0.0.1:0 &\n'
	shcount-gateway --listen 127.0.0.1:0 2>"$dir/gateway.log" &
	gateway=$!
	for _ in {1..100}; do
		url=$(sed -n 's|.* ready: \(http://[^/]*\)/.*|\1|p' "$dir/gateway.log")
		if [ -n "$url" ]; then break; fi
		kill -0 "$gateway" 2>/dev/null || die "the gateway has ended: $(cat "$dir/gateway.log")"
		read -rt 0.05 <> <(:) || true
	done
	[ -n "$url" ] || die "the gateway is not ready"
}

# The log has `date time action package ...`; the lines of interest have a package in field 4. A container may have
# been made without one: what the package manager knows is as real, and gets the same form.
log=/var/log/dpkg.log
source="the package manager's log of this machine, $log"
if ! [ -s "$log" ] || ! [ -r "$log" ]; then
	log=$dir/dpkg.log
	source="no /var/log/dpkg.log here, so: sections and sources of the packages installed, from /var/lib/dpkg/status"
	awk '$1 == "Package:" { package = $2; origin = $2 } $1 == "Source:" { origin = $2 } $1 == "Section:" { section = $2 }
		$0 == "" && package { print "-", "-", section, origin; package = "" }' /var/lib/dpkg/status >"$log"
	[ -s "$log" ] || die "neither /var/log/dpkg.log nor /var/lib/dpkg/status has anything to count"
fi

say "1. A daemon, on a socket of its own"
start_daemon

say "2. Count ($source)"
# Should the package manager run meanwhile, the log grows.
lines_before=$(lines_to_count)
echo "   actions: field 3 of $lines_before lines"
run shcount ingest -k 3 --prefix action: "$log"
echo "   packages: field 4 of the lines that name one (not status, startup, ...)"
awk '$3 !~ /^(status|startup|conffile)$/' "$log" >"$dir/packages"
run shcount ingest -k 4 --prefix package: "$dir/packages"

say "3. The busiest"
run shcount list --sort value 'action:*'
echo
run shcount list --sort value --limit 10 'package:*'

say "4. One more, from the shell"
run shcount incr demo:visits
run shcount incr demo:visits 41

say "5. To the disk, and then the worst: SIGKILL"
run shcount sync
shcount list >"$dir/before"
printf '$ kill -KILL %s\n' "$daemon"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true

say "6. Start again: everything is back"
start_daemon
shcount list >"$dir/after"
cmp "$dir/before" "$dir/after" || {
	diff "$dir/before" "$dir/after" | head -n 20 >&2
	die "VALUES ARE DIFFERENT after the restart: this is a bug"
}
run shcount get demo:visits
[ "$(shcount get demo:visits)" = 42 ] || die "demo:visits is not 42: this is a bug"
actions=$(shcount list 'action:*' | awk -F'\t' '{ n += $2 } END { print n + 0 }')
echo "$(wc -l <"$dir/after") counters, the same as before the kill; the actions add up to $actions."
if [ "$actions" -lt "$lines_before" ] || [ "$actions" -gt "$(lines_to_count)" ]; then
	die "$actions actions in $lines_before lines: this is a bug"
fi

say "7. Over HTTP: scripts of other machines, Prometheus, a page for people"
start_gateway
run curl -sS -d '{"counter_id": "demo:visits"}' "$url/counter/increment"
echo
[ "$(shcount get demo:visits)" = 43 ] || die "demo:visits is not 43: this is a bug"
curl -sS "$url/metrics" >"$dir/metrics"
echo "   $url/metrics, some of its $(grep -c '^# TYPE' "$dir/metrics") metrics:"
grep -E '^shcounterd_(names|epoch_durable|up)\{' "$dir/metrics" || die "no metrics: this is a bug"
page=$(curl -sS "$url/")
case $page in *'<title>'*) ;; *) die "no page: this is a bug" ;; esac
echo "   $url/ has the busiest counters, each in detail, and how the daemon is, live; \`shcount-gateway\` alone serves it on port 8480."

say "That was it. Next: \`make install\`, and \`man shcounterd\`, \`man shcount\`, \`man shcount-gateway\`."
