#!/bin/sh
# SPDX-License-Identifier: MIT
# ask.sh COMMAND [WORD...]: asks a daemon where there is no shcount and no redis-cli, but socat, or a netcat that knows Unix
# sockets. Prints a number or a name as it is, of a list each part on a line of its own, and an empty line where there is
# nothing; texts of several lines (INFO) are not for it. Exit status: 0, 1 for an error, 69 when there is no server.
#
#   ask.sh INCR visits
set -u

socket=${SHCOUNT_SOCKET:-/run/shcounterd/shcounterd.sock}
if [ $# -eq 0 ]; then
	echo "usage: ask.sh COMMAND [WORD...]" >&2
	exit 64
fi

# What follows the request is the end: the server answers what it got, and closes.
send() {
	if command -v socat >/dev/null; then
		socat -t 5 - "UNIX-CONNECT:$socket" 2>/dev/null
	else
		nc -N -U -w 5 "$socket" 2>/dev/null # OpenBSD's
	fi
}

# In bytes, whatever the letters: as many words as the array says, each with its length.
LC_ALL=C
export LC_ALL
request() {
	printf '*%d\r\n' $#
	for word in "$@"; do
		printf '$%d\r\n%s\r\n' ${#word} "$word"
	done
}

reply=$(request "$@" | send)
if [ -z "$reply" ]; then
	echo "ask.sh: no answer from $socket" >&2
	exit 69
fi
# A line of it is a number, a text, an error, or says what the next ones are; names and values have no ends of lines.
printf '%s\n' "$reply" | tr -d '\r' | {
	status=0
	while IFS= read -r line; do
		case $line in
		'$-1' | '_' | '*-1') echo ;; # no such counter
		'$'*) IFS= read -r line && printf '%s\n' "$line" ;;
		':'* | '+'*) printf '%s\n' "${line#?}" ;;
		'-'*) printf '%s\n' "${line#?}" >&2 && status=1 ;;
		esac
	done
	exit $status
}
