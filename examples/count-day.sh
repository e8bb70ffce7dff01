#!/bin/sh
# SPDX-License-Identifier: MIT
# count-day.sh DAY LOG: counts the lines of a day's log by their first field, and that the day is done.
#
# Nothing counts twice and nothing is left out, whatever is killed and however often this runs: a crontab may start it
# again until it exits with 0. Its exit status is that of shcount(1).
set -u

if [ $# -ne 2 ]; then
	echo "usage: count-day.sh DAY LOG" >&2
	exit 64
fi
day=$1 log=$2
tries=${COUNT_TRIES:-5}

# For a command that counts once, however often it runs: again while nobody knows whether it did.
surely() {
	try=1
	while :; do
		"$@"
		status=$?
		case $status in
		69) echo "count-day.sh: no server, nothing has changed (try $try of $tries)" >&2 ;;
		75) echo "count-day.sh: it may or may not be in (try $try of $tries)" >&2 ;;
		*) return $status ;;
		esac
		[ "$try" -lt "$tries" ] || return $status
		try=$((try + 1))
		sleep 1
	done
}

# The stream knows how far its input is counted.
surely shcount ingest --stream "day:$day" --eof --on-error skip -k 1 --prefix hits: "$log"
status=$?
case $status in
0) ;;
65) echo "count-day.sh: the lines above are not counted, all others are" >&2 ;;
1)
	echo "count-day.sh: the server says no; run it again when that is mended" >&2
	exit 1
	;;
*) exit $status ;;
esac

# The token says which day this 1 is for.
days=$(surely shcount incr days --once "day:$day" --durable) || exit
echo "$days days are counted"
