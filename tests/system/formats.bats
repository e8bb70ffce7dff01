#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The formats of shcount ingest, compressed files, and where to begin. What is counted is compared with what awk, Python,
# sort and uniq make of the same input.

# shellcheck disable=SC2154 # output and stderr are set by run
bats_require_minimum_version 1.5.0
load common

setup_file() {
	new_place
	start_daemon
}

teardown_file() {
	stop_daemon
	remove_place
}

setup() {
	data=$BATS_TEST_DIRNAME/data
	cd "$SHC_DIR" || return
}

# NAME<TAB>VALUE of all counters that begin with the prefix, which is cut off.
counted() { # PREFIX
	shcount list "$1*" | sed "s|^$1||"
}

# The same of "NAME VALUE" lines on stdin, added up, in list's order.
summed() {
	awk '{ v = $NF; sub(/ [^ ]*$/, ""); sum[$0] += v } END { for (k in sum) printf "%s\t%d\n", k, sum[k] }' | LC_ALL=C sort
}

# Runs ingest, which must end with this status and say this.
says() { # STATUS TEXT ARGUMENT...
	local status_wanted=$1 text=$2
	shift 2
	run shcount --timeout 30s ingest "$@"
	expect_status "$status_wanted"
	expect_contains "$output" "$text"
}

# ---- csv ----

@test "csv: what Python's csv module writes is counted as it was meant, through files and pipes" {
	local seed=0 delimiter terminator quoting
	while read -r delimiter terminator quoting; do
		seed=$((seed + 1))
		/usr/bin/python3 -B "$BATS_TEST_DIRNAME/py/csv_rows.py" rows $seed "$delimiter" "$terminator" "$quoting"
		says 0 " 0 bad lines, 0 skipped" -f csv -F "$delimiter" -k 2 -d 4 --prefix "c$seed/" rows
		expect "$(counted "c$seed/")" "$(cat rows.expected)"
		expect_contains "$output" "$(wc -l <rows) lines"
		dd if=rows bs=61 status=none | shcount ingest -f csv -F "$delimiter" -k 2 -d 4 --prefix "p$seed/"
		expect "$(counted "p$seed/")" "$(cat rows.expected)"
	done <<-'END'
		, crlf QUOTE_MINIMAL
		, lf QUOTE_ALL
		; lf QUOTE_MINIMAL
		| crlf QUOTE_NONNUMERIC
	END
}

@test "csv: the name is field 1, commas separate, and a line of titles can be left out" {
	printf 'name,n\r\n"a, b",2\r\n\r\n"",1\r\nc,3\r\n' >titles
	says 0 "4 lines, 0 bad lines, 2 skipped" -f csv -d 2 --from-line 2 --prefix ct/ titles
	expect "$(counted ct/)" $'a, b\t2\nc\t3'
	printf 'a b\tc\n"a b"\td\n' >tabs.csv
	shcount ingest -f csv -F '\t' --prefix cb/ tabs.csv
	printf 'a b c\n"a b" c\n' | shcount ingest -f csv -F ' ' -k 2 --prefix cb/
	expect "$(counted cb/)" $'a b\t2\nb\t1\nc\t1'
}

@test "csv: a bad record is told by the line where it begins, and the next one is read" {
	printf 'a,"1\n2\n3"\n"b",2\nc"d,4\ne,5\n"f"g,6\n"h\ni",7\nj,"8\n9"x\nk,1\n"l\nm' >bad
	run shcount ingest -f csv --on-error skip --prefix cs/ bad
	expect_status 65
	expect_contains "$output" "bad:5: a quote in a field without quotes"
	expect_contains "$output" "bad:7: text behind a closing quote"
	expect_contains "$output" "bad:8: the name contains a control character"
	expect_contains "$output" "bad:10: text behind a closing quote"
	expect_contains "$output" "bad:13: a quote that is not closed until the end of the file"
	expect_contains "$output" "14 lines, 5 bad lines"
	expect "$(counted cs/)" $'a\t1\nb\t1\ne\t1\nk\t1'
}

@test "csv: it stops at a bad record, and goes on from the line it says" {
	printf 'a,"\n\n"\nb"\nc,1\n' >stops
	says 65 "resume from line 4 with: shcount ingest --from-line 4 ... stops" -f csv --prefix cr/ stops
	expect "$(counted cr/)" $'a\t1'
	sed 's/b"/b/' stops >repaired
	says 0 "2 lines, 0 bad lines" -f csv --prefix cr/ --from-line 4 repaired
	expect "$(counted cr/)" $'a\t1\nb\t1\nc\t1'
}

@test "csv: a quote that is never closed costs one record of at most 1 MiB" {
	{
		printf 'a,1\n"b,'
		head -c 1200000 /dev/zero | tr '\0' '\n' # each a line
		printf 'c,1\n"d'
	} >open
	run shcount ingest -f csv --on-error skip --prefix co/ open
	expect_status 65
	expect_contains "$output" "open:2: the record is longer than 1 MiB: is a quote not closed?"
	expect_contains "$output" "open:1200003: a quote that is not closed"
	expect_contains "$output" "1200003 lines, 2 bad lines"
	expect "$(counted co/)" $'a\t1\nc\t1'
	# the same in other pieces
	run bash -c "dd if=open bs=50001 status=none | '$SHCOUNT' ingest -f csv --on-error skip --prefix cp/"
	expect_contains "$output" "1200003 lines, 2 bad lines"
	expect "$(counted cp/)" $'a\t1\nc\t1'
}

# ---- uniq ----

@test "uniq: sums of sort and uniq are the counts of the lines" {
	awk 'BEGIN { srand(3); for (i = 0; i < 5000; i++) print int(rand() * 50) " x  " int(rand() * 3) }' >words
	shcount ingest --prefix un/ words
	LC_ALL=C sort words | uniq -c | shcount ingest -f uniq --prefix uq/
	expect "$(counted uq/)" "$(counted un/)"
	expect "$(counted uq/ | wc -l)" 150
	printf '      2   a b\n     x c\n      1 \n' >counts
	says 65 "counts:2: no count in front of the name" -f uniq --on-error skip --prefix ub/ counts
	expect_contains "$output" "3 lines, 1 bad line, 1 skipped"
	expect "$(counted ub/)" $'  a b\t2'
}

# ---- json ----

@test "json: objects of a name and a delta, what list --json prints among them" {
	jq -cn 'range(2000) | { name: "n\(. % 7) \"\u00e9", delta: (. - 900), time: "x" }' >objects
	shcount ingest -f json --prefix js/ objects
	expect "$(counted js/)" "$(jq -r '"\(.name) \(.delta)"' objects | summed)"
	printf 'caf\351\n' | shcount ingest --prefix jb/
	shcount list --json 'jb/*' | jq -c 'del(.value)' | shcount ingest -f json
	expect "$(shcount list 'jb/*' | cut -f2)" 2
}

@test "json: a bad line is told with its reason, an empty one is skipped" {
	printf '%s\n' '{"name":"a"}' '' '{"name":"b","delta":1.0}' '{"name":"b","delta":1,"delta":2}' '["b"]' \
		'{"delta":1}' '{"name":"c\u000a"}' '{"name":""}' '{"name":"b","delta":9223372036854775808}' \
		'{"name":"d","delta":-9223372036854775807}' >lines
	run shcount ingest -f json --on-error skip --prefix jl/ lines
	expect_status 65
	expect_contains "$output" 'lines:3: "delta" is not a whole number'
	expect_contains "$output" 'lines:4: JSON that is not taken: duplicate object key'
	expect_contains "$output" 'lines:5: not a JSON object'
	expect_contains "$output" 'lines:6: has no "name"'
	expect_contains "$output" 'lines:7: the name contains a control character'
	expect_contains "$output" 'lines:8: the name is empty'
	expect_contains "$output" 'lines:9: "delta" is not a whole number'
	expect_contains "$output" "10 lines, 7 bad lines, 1 skipped"
	expect "$(counted jl/)" $'a\t1\nd\t-9223372036854775807'
}

# ---- statsd ----

@test "statsd: sampled counts are exact where they are whole, alone or together" {
	printf '%s\n' 'a:3|c|@0.1' 'b:1|c|@0.3' 'b:1|c|@0.3' 'b:1|c|@0.3' 'c:0.5|c' 'c:1.5|c' 'd:1|c:2|c|@0.5' \
		'e:1|c|#env:prod,x:1' 'e:2|c|@0.5|#env:dev' 'f:-2|c' 'g:1:2:3|c' >metrics
	says 0 "11 lines, 0 bad lines, 0 skipped, 7 distinct names" -f statsd --prefix sx/ metrics
	expect "$(counted sx/)" $'a\t30\nb\t10\nc\t2\nd\t5\ne\t5\nf\t-2\ng\t6'
}

@test "statsd: what is not a counter is skipped, a bad line adds nothing" {
	printf '%s\n' 'a:320|ms' 'a:1|g' 'a:u|s' 'a:1|h|@0.1' '_e{1,1}:x|y' 'a:1|c' 'a:1|c:x|c' 'a:1|c|@1.5' >metrics
	run shcount ingest -f statsd --on-error skip --prefix sk/ metrics
	expect_status 65
	expect_contains "$output" "metrics:7: the value is not a number"
	expect_contains "$output" "metrics:8: the rate behind @ is not a number above 0 and up to 1"
	expect_contains "$output" "8 lines, 2 bad lines, 5 skipped, 1 distinct name"
	expect "$(counted sk/)" $'a\t1'
}

@test "statsd: totals are off by less than one a name, to either side" {
	awk 'BEGIN { for (i = 0; i < 40000; i++) printf "n%d:1|c|@0.3\n", i % 400 }' >thirds # 100 of each: 333 1/3
	shcount ingest -f statsd --prefix st/ thirds
	expect "$(counted st/ | cut -f2 | sort -u | tr '\n' ' ')" "333 334 "
}

# ---- real logs ----

@test "an access log: paths, statuses, and bytes a client, as awk has them" {
	shcount ingest -k 9 --prefix as/ "$data/access.log"
	expect "$(counted as/)" "$(awk 'NF >= 9 { print $9, 1 }' "$data/access.log" | summed)"
	run shcount ingest -k 1 -d 10 --on-error skip --prefix ab/ "$data/access.log"
	expect_status 65
	expect_contains "$output" "access.log:3: the delta is not a whole number" # 304 -
	expect "$(counted ab/)" "$(awk '$10 ~ /^[0-9]+$/ { print $1, $10 }' "$data/access.log" | summed)"
	shcount ingest -F '"' -k 2 --prefix ar/ "$data/access.log"
	expect "$(shcount get 'ar/GET / HTTP/1.1')" 2
}

@test "dpkg.log: actions, and packages by architecture" {
	shcount ingest -k 3 --prefix dk/ "$data/dpkg.log"
	expect "$(counted dk/)" "$(awk '{ print $3, 1 }' "$data/dpkg.log" | summed)"
	expect "$(shcount get dk/status)" 14
}

@test "a journal export: units, and keys although a message is binary" {
	grep -a ^_SYSTEMD_UNIT= "$data/journal.export" | shcount ingest -F = -k 2 --prefix ju/
	expect "$(counted ju/)" $'app.service\t1\ncron.service\t1\ninit.scope\t1\nnginx.service\t2\nsshd.service\t2'
	shcount ingest -F = -k 1 --on-error skip --prefix jk/ "$data/journal.export" || [ $? -eq 65 ]
	expect "$(shcount get jk/MESSAGE jk/PRIORITY jk/_SYSTEMD_UNIT)" $'jk/MESSAGE\t7\njk/PRIORITY\t7\njk/_SYSTEMD_UNIT\t7'
}

# ---- compressed files ----

@test "files named .gz and .zst are decompressed, of several members too, beside plain ones" {
	seq 1 40000 | awk '{ print $1 % 701 }' >plain
	expected=$(shcount ingest --prefix z0/ plain plain plain && counted z0/)
	head -n 9999 plain | gzip >a.gz
	tail -n +10000 plain | gzip -1 >>a.gz
	head -n 20001 plain | zstd -q >b.zst
	tail -n +20002 plain | zstd -q >>b.zst
	says 0 "120000 lines, 0 bad lines" --prefix z1/ a.gz plain b.zst
	expect "$(counted z1/)" "$expected"
	printf 'a,1\n"b\n",2\n' | gzip >c.gz
	says 65 "c.gz:2: the name contains a control character" -f csv --prefix z2/ c.gz
}

@test "of a damaged file what comes before is in, and it is said where to go on" {
	seq 1 50000 >plain
	gzip -k plain
	head -c 60000 plain.gz >cut.gz
	says 65 "cut.gz: is cut off" --on-error skip --prefix zc/ cut.gz plain.gz
	local next
	next=$(sed -n 's/.*shcount ingest --from-line \([0-9]*\) \.\.\. cut\.gz and the files behind it$/\1/p' <<<"$output")
	expect "$(counted zc/ | wc -l)" $((next - 1))
	says 0 "$((50001 - next)) lines, 0 bad lines" --prefix zc/ --from-line "$next" plain.gz
	expect "$(counted zc/ | cut -f2 | sort | uniq -c | tr -s ' ')" " 50000 1"
	zstd -q plain && head -c 20000 plain.zst >cut.zst
	says 65 "cut.zst: is cut off" --prefix zd/ cut.zst
}

@test "a file that only its name calls compressed is told apart, and the way out works" {
	printf 'a\n' >not.gz
	says 65 "not.gz: is not compressed, although its name says so; \`shcount ingest - < FILE\` reads it as it is" \
		--prefix zn/ not.gz
	shcount ingest --prefix zn/ - <not.gz
	expect "$(counted zn/)" $'a\t1'
}

# The numbers to 50000 in two members, of the second of which nothing can be read.
damaged_second() { # FILE
	seq 1 30000 | gzip >first.gz
	seq 30001 50000 | gzip >second.gz
	printf 'x' | dd of=second.gz bs=1 seek=2 conv=notrunc status=none
	cat first.gz second.gz >"$1"
}

@test "a damaged file is told with its place, and it is not said that it goes on there as it stands" {
	seq 1 50000 >whole
	gzip -k whole
	damaged_second bad.gz
	local place
	says 65 "bad.gz: is damaged: its gzip data makes no sense at byte " --on-error skip --prefix zx/ bad.gz whole
	place=$(sed -n 's/.* at byte \([0-9]*\); what was read before may be wrong, too$/\1/p' <<<"$output")
	[ "$place" -gt "$(wc -c <first.gz)" ]
	expect_contains "$output" "stopped: what comes before bad.gz:30001 is in; with that file repaired or replaced, go on with: shcount ingest --from-line 30001 ... bad.gz and the files behind it"
	expect "$(counted zx/ | wc -l)" 30000
	says 0 "20000 lines" --prefix zx/ --from-line 30001 whole.gz
	expect "$(counted zx/ | cut -f2 | sort | uniq -c | tr -s ' ')" " 50000 1"
	# damage that only the checksum at the end tells
	cp whole.gz bad.gz
	printf 'x' | dd of=bad.gz bs=1 seek=$(($(wc -c <whole.gz) - 8)) conv=notrunc status=none
	says 65 "; what was read before may be wrong, too" --prefix zw/ bad.gz

	{ cat whole.gz; printf 'rubbish\n'; } >long.gz
	says 65 "long.gz: has bytes behind its end, at byte $(wc -c <whole.gz), that are not gzip" --prefix zl/ long.gz
	zstd -q whole
	{ cat whole.zst; printf 'rubbish\n'; } >long.zst
	says 65 "long.zst: has bytes behind its end, at byte $(wc -c <whole.zst), that are not zstd" --prefix zl/ long.zst
	expect "$(counted zl/ | cut -f2 | sort | uniq -c | tr -s ' ')" " 50000 2"
	rm -f whole*
}

@test "a stream says of a damaged file that it needs another one, and goes on in that" {
	need_daemon
	damaged_second sd.gz
	says 65 "stream sd: all up to sd.gz:30000 is in; run it again with that file repaired or replaced, and it goes on there if that begins with the same lines" \
		--stream sd --prefix sd/ sd.gz
	says 65 "sd.gz: is damaged" --stream sd --prefix sd/ sd.gz
	seq 1 50000 | gzip >sd.gz
	says 0 "stream sd: finished; 50000 lines in all" --stream sd --prefix sd/ sd.gz
	expect "$(counted sd/ | cut -f2 | sort | uniq -c | tr -s ' ')" " 50000 1"
}

@test "what is compressed under another name is refused with the way out, and nothing of it is counted" {
	local packer mark reader
	for packer in gzip zstd; do
		seq 1 1000 | $packer >packed
		reader=zcat mark=gz
		[ $packer = gzip ] || reader=zstdcat mark=zst
		local refusal="is compressed with $packer, and only files named *.$mark are decompressed; \`$reader < FILE | shcount ingest ...\` reads it"
		says 65 "packed: $refusal" --on-error skip --prefix zp/ packed
		expect_contains "$output" "nothing was added"
		says 65 "packed: $refusal" --from-line 3 --prefix zp/ packed
		run bash -c "python3 '$shc_top/tests/system/py/dribble.py' packed | '$SHCOUNT' ingest -k 1 --prefix zp/"
		expect_status 65
		expect_contains "$output" "(standard input): $refusal"
		expect "$(counted zp/)" ""
		printf 'a\n' >first
		says 65 "stopped: what comes before packed:1 is in; with that file repaired or replaced" --prefix zq/ first packed
		[ "$(counted zp/ | wc -l)" -eq 0 ]
		$reader <packed | shcount ingest --prefix "z$packer/"
		expect "$(counted "z$packer/" | wc -l)" 1000
	done
	expect "$(counted zq/)" $'a\t2'
}

# ---- the mark in front of UTF-8 ----

@test "a mark in front of UTF-8 is dropped at the beginning of an input, in every format, and nowhere else" {
	local mark=$'\xef\xbb\xbf'
	printf '%sa\nb\n%sa\n' "$mark" "$mark" >lines
	shcount ingest --prefix m0/ lines - lines < <(cat lines)
	expect "$(counted m0/)" $'a\t3\nb\t3\n'"$mark"$'a\t3'
	printf '%s"a",2\n' "$mark" | shcount ingest -f csv -d 2 --prefix m1/
	printf '%sa\t2\n' "$mark" | shcount ingest -f tsv -d 2 --prefix m1/
	printf '%s  2 a\n' "$mark" | shcount ingest -f uniq --prefix m1/
	printf '%s{"name":"a","delta":2}\n' "$mark" | shcount ingest -f json --prefix m1/
	printf '%sa:2|c\n' "$mark" | shcount ingest -f statsd --prefix m1/
	printf '%sa\n' "$mark" | gzip >m.gz
	shcount ingest --prefix m1/ m.gz
	printf '%sa' "$mark" | dd bs=1 status=none | shcount ingest --prefix m1/
	expect "$(counted m1/)" $'a\t12'
	says 0 "2 lines" --from-line 2 --prefix m2/ lines
	expect "$(counted m2/)" $'b\t1\n'"$mark"$'a\t1'
	printf '%s' "$mark" >only
	says 0 "0 lines, 0 bad lines, 0 skipped, 0 distinct names" --prefix m3/ only
	# what begins as one, and is none
	printf '(\n' | shcount ingest --prefix m4/
	printf '\xef\xbb' | shcount ingest --prefix m4/
	expect "$(counted m4/ | cut -f2)" $'1\n1'
	{ printf '%s' "$mark"; head -c 1048576 /dev/zero | tr '\0' x; printf '\nb\n'; } >long
	says 65 "long:1: the name with its prefix is longer" --on-error skip --prefix m5/ long
	says 65 ":1: the line is longer than 1 MiB" --on-error skip --prefix m5/ <(printf '%s' "$mark"; tail -c +3 long)
	expect "$(counted m5/)" $'b\t2'
}

@test "a stream goes on behind a mark in front of UTF-8 where it stood, byte by byte" {
	need_daemon
	local mark=$'\xef\xbb\xbf' i=0
	printf '%sa\nb\r\n%sc\n' "$mark" "$mark" >text
	: >grows
	for ((i = 1; i <= $(wc -c <text); i++)); do
		head -c "$i" text >grows
		shcount ingest -q --stream mark --prefix sm/ grows
	done
	says 0 "stream mark: was finished before, nothing was added; 3 lines in all" --stream mark --prefix sm/ grows
	expect "$(counted sm/)" $'a\t1\nb\t1\n'"$mark"$'c\t1'
	shcount ingest -q --stream pipe --prefix sp/ - <text
	shcount ingest -q --stream pipe --prefix sp/ - < <(cat text; echo d)
	expect "$(counted sp/)" $'a\t1\nb\t1\nd\t1\n'"$mark"$'c\t1'
}

# ---- where to begin ----

@test "--from-line begins at that line of the first file, with the file's own numbers" {
	printf 'a\nb\n\001\nd' >first
	printf 'e\n' >second
	says 0 "2 lines, 0 bad lines" --from-line 4 --prefix fl/ first second
	expect "$(counted fl/)" $'d\t1\ne\t1'
	says 65 "first:3: the name contains" --from-line 2 --prefix fm/ first second
	expect_contains "$output" "--from-line 3 ... first and the files behind it"
	says 0 "0 lines" --from-line 5 --prefix fn/ first
	says 65 "first: has only 4 lines, so there is no line 6 to begin at" --from-line 6 --prefix fn/ first second
	expect "$(counted fn/)" ""
	run bash -c "seq 1 100000 | '$SHCOUNT' ingest --from-line 99991 --prefix fs/"
	expect_contains "$output" "10 lines, 0 bad lines"
}

# ---- streams ----

@test "a stream has its format, and csv records in it are whole or left for the next run" {
	need_daemon
	printf 'a,1\n"b\nb",' >grows
	says 0 "the last line has no end; it is left for the next run" -f csv -k 2 --stream csv --prefix ss/ grows
	expect "$(counted ss/)" $'1\t1'
	printf '2\nc,3\nd,"4"x\ne,5\n' >>grows
	says 64 "stream csv: -f is not as in the runs before" -f tsv -k 2 --stream csv --prefix ss/ grows
	says 65 "grows:5: text behind a closing quote" -f csv -k 2 --stream csv --prefix ss/ grows
	expect_contains "$output" "stream csv: run it again and it goes on behind grows:4"
	sed -i 's/"x/"/' grows
	says 0 "stream csv: finished; 6 lines in all" -f csv -k 2 --stream csv --prefix ss/ grows
	expect "$(counted ss/)" $'1\t1\n2\t1\n3\t1\n4\t1\n5\t1'
	says 0 "was finished before" -f csv -k 2 --stream csv --prefix ss/ grows
}

@test "a stream goes on in a compressed file that has grown by a member" {
	need_daemon
	seq 1 9000 | gzip >grows.gz
	shcount ingest --stream gz --prefix sg/ grows.gz
	seq 9001 9007 | gzip >>grows.gz
	says 0 "7 lines, 0 bad lines" --stream gz --prefix sg/ grows.gz
	expect "$(counted sg/ | cut -f2 | sort | uniq -c | tr -s ' ')" " 9007 1"
	seq 2 12000 | gzip >grows.gz
	says 65 "grows.gz: does not begin with what the runs before have counted" --stream gz --prefix sg/ grows.gz
}
