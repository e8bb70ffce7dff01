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
