#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# libshcount as a stranger gets it: installed, found by pkg-config, its manual, and the programs of examples/, which are
# those of the manual, compiled against it and counting exactly through crashes.

load common

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	export BUILD=${BUILD:-$PWD/build} dest=$BATS_FILE_TMPDIR/dest
	unset MAKEFLAGS MFLAGS MAKELEVEL
	# packaging.bats runs make in the same directory.
	flock "$BUILD/make.lock" make -s BUILD="$BUILD" install DESTDIR="$dest" PREFIX=/usr/local
	export PKG_CONFIG_PATH=$dest/usr/local/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
	export LD_LIBRARY_PATH=$dest/usr/local/lib PATH=$BUILD:$PATH
	new_place
	start_daemon
}

teardown_file() {
	stop_daemon
	remove_place
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	bin=$BATS_TEST_TMPDIR
	man=$dest/usr/local/share/man
}

strict=(-std=c99 -O2 -Wall -Wextra -Wpedantic -Werror)

# Into $bin: compile COMPILER NAME [PKG-CONFIG-OPTION...]
compile() {
	local compiler=$1 name=$2 flags
	shift 2
	read -ra flags < <(pkg-config --cflags --libs "$@" shcount)
	"$compiler" "${strict[@]}" -o "$bin/$name" "examples/$name.c" "${flags[@]}"
}

needed_by() {
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# As shcount.h declares them, but for the types of functions.
functions() {
	sed -n 's/.*\b\(shc_[a-z_]*\)(.*/\1/p' lib/shcount.h | grep -v '_fn$' | sort -u
}

# ---- what is in it ----

@test "the shared library has the functions of shcount.h and no other name" {
	run bash -c "nm -D --defined-only --format=posix '$BUILD/libshcount.so.0' | sed -n 's/@.* T .*//p' | sort"
	expect "$output" "$(functions)"
	run bash -c "nm -D --defined-only --format=posix '$BUILD/libshcount.so.0' | grep -v ' T \|^SHCOUNT_'"
	expect "$output" ""
}

@test "the static library has the functions of shcount.h and no other name" {
	run bash -c "nm -g --defined-only --format=posix '$BUILD/libshcount.a' | sed -n 's/ [A-Z] .*//p' | sort"
	expect "$output" "$(functions)"
}

@test "what version 0.1.0 had is still there under its own version" {
	nm -D "$BUILD/libshcount.so.0" >"$bin/names"
	for function in add add_stats append close command connect del error flush get incr next on_refused open pending \
		set sync version; do
		grep -q " T shc_$function@@SHCOUNT_0$" "$bin/names" || { echo "$function"; return 1; }
	done
	grep -q ' T shc_mget@@SHCOUNT_0\.2$' "$bin/names"
	readelf -d "$BUILD/libshcount.so.0" | grep -q 'SONAME.*\[libshcount\.so\.0\]'
}

@test "the library has no variable that could be written" {
	for section in .data .bss .tdata .tbss; do
		size -A "$BUILD/libshcount.a" | awk -v name="$section" '$1 == name && $2 > 0 { exit 1 }' ||
			{ nm "$BUILD/libshcount.a" | grep ' [bBdD] '; return 1; }
	done
}

@test "the library needs nothing but libc" {
	expect "$(needed_by "$BUILD/libshcount.so.0")" libc.so.6
}

# ---- the manual ----

@test "libshcount(3) names, declares and is installed for each function of shcount.h" {
	for function in $(functions); do
		grep -q "^\.Nm $function\b" man/libshcount.3 || { echo "NAME: $function"; return 1; }
		grep -q "^\.Fn $function " man/libshcount.3 || { echo "SYNOPSIS: $function"; return 1; }
		cmp "$man/man3/$function.3" man/libshcount.3
	done
	expect "$(sed -n 's/^\.Nm \(shc_[a-z_]*\).*/\1/p' man/libshcount.3 | sort)" "$(functions)"
}

@test "libshcount(3) declares each function as shcount.h does" {
	# Both as a line each: name, return type, parameters.
	tr '\n\t' '  ' <lib/shcount.h | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g; s/  */ /g' | tr ';{}' '\n' |
		sed -n 's/^ *\([a-z].* \**\)\(shc_[a-z_]*\)(\(.*\))$/\2|\1|\3/p' | sed 's/ |/|/; s/| */|/g' | sort >"$bin/header"
	awk '/^\.Ft / { type = substr($0, 5) } /^\.Fn shc_/ && type { split($0, words, " "); line = substr($0, index($0, words[2]) + length(words[2]) + 1)
		gsub(/" "/, ", ", line); gsub(/"/, "", line); print words[2] "|" type "|" line; type = "" }' man/libshcount.3 |
		sort >"$bin/manual"
	diff "$bin/header" "$bin/manual"
}

@test "libshcount(3) shows each structure, enumeration and limit as shcount.h has it" {
	mandoc -Tutf8 man/libshcount.3 >"$bin/manual"
	# What enum shc_status means stands in RETURN VALUES.
	python3 - lib/shcount.h "$bin/manual" <<-'EOT'
		import re, sys
		def shapes(path):
		    text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
		    found = re.findall(r"\b(?:struct|enum)(?: shc_\w+)? \{[^}]*\};", text)
		    found = (" ".join(re.findall(r"\w+|\S", shape)) for shape in found)
		    return sorted(s for s in found if re.search("shc_|SHC_", s) and not s.startswith("enum shc_status"))
		header, manual = map(shapes, sys.argv[1:])
		for shape in header:
		    if shape not in manual: print("only in the header:", shape)
		for shape in manual:
		    if shape not in header: print("only in the manual:", shape)
		sys.exit(header != manual or len(header) < 6)
	EOT
}

@test "libshcount(3) and shcount.h name the limits that the library has for one command" {
	cat >"$bin/limits.c" <<-'EOT'
		#include <shcount.h>
		#include <stdio.h>
		int main(void)
		{
		    struct shc *shc;
		    int64_t value;
		    const struct shc_reply *reply;
		    if (shc_open(&shc, "/x", 1) || shc_mget(shc, (size_t)-1, NULL, NULL, &value, NULL) != SHC_USAGE)
		        return 1;
		    puts(shc_error(shc));
		    if (shc_command(shc, 0, NULL, NULL, false, &reply) != SHC_USAGE)
		        return 1;
		    puts(shc_error(shc));
		    shc_close(shc);
		    return 0;
		}
	EOT
	# shellcheck disable=SC2046 # several words
	gcc "${strict[@]}" -o "$bin/limits" "$bin/limits.c" $(pkg-config --cflags --libs shcount)
	mapfile -t limits < <("$bin/limits" | grep -o '[0-9]\{5,\}')
	expect "${#limits[@]}" 2
	for text in man/libshcount.3 lib/shcount.h; do
		grep -q "up to ${limits[0]} counters" "$text"
		grep -q "1 to ${limits[1]}\b" "$text"
	done
}

@test "libshcount(3) says what each status means" {
	for status in $(grep -o '^[[:space:]]SHC_[A-Z_]*[,[:space:]]' lib/shcount.h | sed '/_MAX/d' | tr -d ' ,\t'); do
		grep -q "^\.It Dv $status\$" man/libshcount.3 || { echo "missing: $status"; return 1; }
	done
}

@test "the programs in libshcount(3) are the files in examples, letter by letter" {
	mandoc -Tutf8 man/libshcount.3 2>/dev/null | sed 's/^     //' >"$bin/manual"
	for file in examples/*.c; do
		expand "$file" >"$bin/file"
		python3 - "$bin/file" "$bin/manual" <<-'EOT' || {
			import sys
			file, manual = (open(name).read() for name in sys.argv[1:])
			sys.exit(0 if "\n\n" + file in manual else 1)
		EOT
			echo "$file is not in the manual, where this should stand:"
			sed -e 's/\\/\\e/g' -e "s/'/\\\\(aq/g" -e 's/`/\\(ga/g' -e 's/\^/\\(ha/g' -e 's/~/\\(ti/g' -e 's/-/\\-/g' \
				-e 's/^\./\\\&./' "$file"
			return 1
		}
		cmp "$file" "$dest/usr/local/share/doc/shcounterd/$file"
	done
}

@test "the page of a function is found by its name" {
	command -v man >/dev/null || skip "man is not installed"
	MANPAGER="cat" run man -M "$man" shc_incr
	expect_status 0
	expect_contains "$output" "shc_incr(struct shc *shc"
}

# ---- building with it ----

@test "the examples compile without a warning with gcc and clang, and the header in C++" {
	for name in all ticket words; do
		compile gcc "$name"
		expect "$(needed_by "$bin/$name")" "$(printf 'libshcount.so.0\nlibc.so.6')"
		compile clang "$name"
	done
	echo '#include <shcount.h>' >"$bin/header.cc"
	for compiler in clang++ g++; do
		command -v $compiler >/dev/null || continue
		for standard in c++98 c++11 c++20; do
			$compiler -std=$standard -fsyntax-only -x c++ - </dev/null || continue # an older or newer compiler
			# shellcheck disable=SC2046 # several words
			$compiler -std=$standard -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags shcount) \
				"$bin/header.cc"
		done
	done
}

@test "pkg-config --static is all that the static library needs, in part or for a whole static program" {
	local lib=$dest/usr/local/lib
	mkdir "$bin/aside"
	mv "$lib"/libshcount.so* "$bin/aside"
	for compiler in gcc clang; do
		compile $compiler ticket --static
		expect "$(needed_by "$bin/ticket")" libc.so.6
		strict+=(-static)
		compile $compiler ticket --static # ld has a warning about getaddrinfo
		expect "$(needed_by "$bin/ticket")" ""
		"$bin/ticket" "$SHC_SOCK" >/dev/null
		unset "strict[-1]"
	done
	mv "$bin/aside"/* "$lib"
}

@test "the version of the package is that of the library and of the file VERSION" {
	expect "$(pkg-config --modversion shcount)" "$(cat VERSION)"
	cat >"$bin/version.c" <<-'EOT'
		#include <shcount.h>
		#include <stdio.h>
		int main(void) { return puts(shc_version()) < 0; }
	EOT
	# shellcheck disable=SC2046 # several words
	gcc -o "$bin/version" "$bin/version.c" $(pkg-config --cflags --libs shcount)
	expect "$("$bin/version")" "$(cat VERSION)"
}

# ---- what the manuals say of tokens ----

@test "the same token with another counter is another token, and with another delta it is refused" {
	expect "$(shcount incr --once pair token:a 3)" 3
	expect "$(shcount incr --once pair token:b 4)" 4
	expect "$(shcount incr --once pair token:b 4)" 4
	run shcount incr --once pair token:a 4
	expect_status 1
	expect_contains "$output" "another delta for this counter"
	expect "$(shcount get token:a token:b | cut -f 2 | paste -sd ' ')" "3 4"
}

# ---- the examples at work ----

@test "ticket: no number twice" {
	compile gcc ticket
	for ((i = 0; i < 20; i++)); do "$bin/ticket" "$SHC_SOCK"; done >"$bin/tickets"
	expect "$(sort -u "$bin/tickets" | wc -l)" 20
	run "$bin/ticket" "$SHC_DIR/nobody"
	expect_status 1
	expect_contains "$output" "cannot connect to $SHC_DIR/nobody"
}

@test "all: every counter of several pages, with its value" {
	compile gcc all
	seq 3000 | shcount -q ingest --prefix all:
	"$bin/all" "$SHC_SOCK" | sort >"$bin/all.got"
	shcount list | sort | diff - "$bin/all.got"
}

words_total() {
	shcount list 'word:*' | awk '{ n += $2 } END { print n + 0 }'
}

words_are() {
	[ "$(words_total)" -eq "$1" ]
}

# A run over $bin/input, of which it gets N lines now, and the others when $bin/go is there.
start_words() { # N
	rm -f "$bin/go" "$bin/pipe"
	mkfifo "$bin/pipe"
	{
		head -n "$1" "$bin/input"
		wait_until test -e "$bin/go"
		tail -n "+$(($1 + 1))" "$bin/input"
	} >"$bin/pipe" 3>&- &
	"$bin/words" "$SHC_SOCK" book <"$bin/pipe" >"$bin/said" 3>&- &
	pid=$!
}

@test "words: it is killed in its middle, then the server, and every word counts once" {
	compile gcc words
	awk 'BEGIN { for (i = 0; i < 25500; i++) print "w" i * 7919 % 97 }' >"$bin/input"

	start_words 10500
	wait_until words_are 10000 # the rest is in its memory
	kill -KILL "$pid"
	wait "$pid" || expect $? 137
	touch "$bin/go"

	start_words 18500
	wait_until words_are 18000
	kill_daemon
	start_daemon
	touch "$bin/go"
	wait "$pid"
	expect "$(cat "$bin/said")" "25500 words, 15500 of them new"

	sort "$bin/input" | uniq -c | awk '{ print "word:" $2 "\t" $1 }' >"$bin/expected"
	shcount list 'word:*' | diff "$bin/expected" -
	expect "$("$bin/words" "$SHC_SOCK" book <"$bin/input")" "25500 words, 0 of them new"
	words_are 25500
}

@test "words: each kind of failure has its exit status and its sentence" {
	compile gcc words
	run "$bin/words" "$SHC_SOCK"
	expect_status 64
	run "$bin/words" http://here book
	expect_status 64
	expect_contains "$output" "unknown scheme"
	echo x | shcount -q ingest --stream not-words
	run "$bin/words" "$SHC_SOCK" not-words </dev/null
	expect_status 65
	expect_contains "$output" "not-words: not my session"

	shcount set word:full 9223372036854775807
	run "$bin/words" "$SHC_SOCK" too-much <<<"full"
	expect_status 1
	expect_contains "$output" overflow
	shcount del word:full

	mkfifo "$bin/input"
	"$bin/words" "$SHC_SOCK" taken <"$bin/input" 2>"$bin/said" 3>&- &
	exec 8>"$bin/input"
	seq -f lost%g 1000 >&8
	wait_until shcount -q get --strict word:lost1
	"$bin/words" "$SHC_SOCK" taken < <(seq -f lost%g 2000)
	seq -f lost%g 1001 2000 >&8
	exec 8>&-
	wait $! || expect $? 69
	expect_contains "$(cat "$bin/said")" SESSIONLOST
	expect "$(shcount get word:lost1 word:lost2000 | cut -f 2 | paste -sd ' ')" "1 1"
}

# ---- the shell ----

has_client() {
	[ "$(grep -c " $SHC_SOCK\$" /proc/net/unix)" -ge 2 ]
}

@test "count-day.sh: killed with the server stopped, run again, and once more: every line counts once" {
	need_daemon
	for ((i = 0; i < 300; i++)); do echo "host$((i % 7)) GET /"; done >"$bin/log"
	printf 'host0 no end' >>"$bin/log"
	freeze_daemon
	setsid sh examples/count-day.sh 2026-11-27 "$bin/log" 3>&- &
	wait_until has_client
	kill -KILL -- -$!
	wait $! || expect $? 137
	thaw_daemon
	kill_daemon
	start_daemon
	run env PATH="$BUILD:$PATH" sh examples/count-day.sh 2026-11-27 "$bin/log"
	expect_status 0
	expect_contains "$output" "1 days are counted"
	run env PATH="$BUILD:$PATH" sh examples/count-day.sh 2026-11-27 "$bin/log"
	expect_status 0
	expect_contains "$output" "1 days are counted"
	expect "$(shcount list 'hits:*' | awk '{ n += $2 } END { print n }')" 301
	expect "$(shcount get hits:host0)" 44
}

@test "count-day.sh: its exit status says what to do" {
	export PATH=$BUILD:$PATH
	run sh examples/count-day.sh
	expect_status 64
	echo "host0 GET /" >"$bin/log"
	SHCOUNT_SOCKET=$SHC_DIR/nobody COUNT_TRIES=1 run sh examples/count-day.sh monday "$bin/log"
	expect_status 69
	expect_contains "$output" "nothing has changed (try 1 of 1)"
	printf 'host\001 GET /\n' >>"$bin/log"
	run sh examples/count-day.sh tuesday "$bin/log"
	expect_status 0
	expect_contains "$output" "the lines above are not counted"
	shcount set hits:host9 9223372036854775807
	echo "host9 GET /" >"$bin/log"
	run sh examples/count-day.sh wednesday "$bin/log"
	expect_status 1
	expect_contains "$output" "the server says no"
}

@test "ask.sh: a counter without shcount, by socat and by netcat" {
	local with path
	for with in socat nc; do
		command -v $with >/dev/null || continue
		path=$bin/$with
		mkdir "$path"
		for program in sh sed tr $with; do ln -s "$(command -v "$program")" "$path"; done
		run env PATH="$path" sh examples/ask.sh INCRBY ask 41
		expect "$output" 41
		run env PATH="$path" sh examples/ask.sh INCR ask
		expect "$output" 42
		run env PATH="$path" sh examples/ask.sh MGET ask nothing ask
		expect "$output" $'42\n\n42'
		run env PATH="$path" sh examples/ask.sh INCR 'ask "caf\xc3\xa9" *'
		expect "$output" 1
		run env PATH="$path" sh examples/ask.sh INCRBY ask 1.5
		expect_status 1
		expect "$output" "ERR value is not an integer or out of range"
		run env PATH="$path" SHCOUNT_SOCKET="$SHC_DIR/nobody" sh examples/ask.sh PING
		expect_status 69
		run env PATH="$path" sh examples/ask.sh DEL ask 'ask "caf\xc3\xa9" *'
		expect "$output" 2
	done
	[ -n "$path" ] || skip "neither socat nor nc is installed"
}

# ---- Python ----

@test "words.py and words.c: one goes on where the other was killed, and when its server is" {
	need_daemon
	compile gcc words
	awk 'BEGIN { for (i = 0; i < 25500; i++) print "w" i * 7919 % 89 }' >"$bin/input"
	shcount list 'word:*' | cut -f 1 | xargs -r "$SHCOUNT" -q del --
	shcount sync # the daemon will be killed

	# words.c has counted 10000 words, and no more.
	mkfifo "$bin/pipe"
	"$bin/words" "$SHC_SOCK" both <"$bin/pipe" >/dev/null 3>&- &
	pid=$!
	exec 8>"$bin/pipe"
	head -n 10500 "$bin/input" >&8
	wait_until words_are 10000
	kill -KILL "$pid"
	exec 8>&-
	wait "$pid" || expect $? 137

	# It waits for an answer when it, and then the server, is killed.
	freeze_daemon
	/usr/bin/python3 examples/words.py "$SHC_SOCK" both "$bin/input" 3>&- &
	pid=$!
	wait_until has_client
	kill -KILL "$pid"
	wait "$pid" || expect $? 137
	/usr/bin/python3 examples/words.py "$SHC_SOCK" both "$bin/input" >"$bin/said" 2>&1 3>&- &
	pid=$!
	wait_until has_client
	kill_daemon
	start_daemon
	wait "$pid"
	expect_contains "$(cat "$bin/said")" "25500 words are counted"

	sort "$bin/input" | uniq -c | awk '{ print "word:" $2 "\t" $1 }' >"$bin/expected"
	shcount list 'word:*' | diff "$bin/expected" -
	expect "$("$bin/words" "$SHC_SOCK" both <"$bin/input")" "25500 words, 0 of them new"
	expect "$(/usr/bin/python3 examples/words.py "$SHC_SOCK" both "$bin/input")" "25500 words are counted"
	words_are 25500
}

@test "words.py: its exit status says what to do" {
	run /usr/bin/python3 examples/words.py "$SHC_SOCK"
	expect_status 64
	printf 'a b\x01 c %0300d' 7 >"$bin/input"
	run /usr/bin/python3 examples/words.py "$SHC_SOCK" odd "$bin/input"
	expect "$output" "5 words are counted"
	expect "$(shcount get word:b "word:$(printf %0250d 0)" | cut -f 2 | paste -sd ' ')" "0 1"
	echo a >"$bin/input"
	run /usr/bin/python3 examples/words.py "$SHC_SOCK" odd "$bin/input"
	expect_status 1
	expect_contains "$output" "there were more words before"
	echo x | shcount -q ingest --stream not-of-python
	run /usr/bin/python3 examples/words.py "$SHC_SOCK" not-of-python "$bin/input"
	expect_status 1
	expect_contains "$output" "not my session"
	shcount set word:full 9223372036854775807
	echo full >"$bin/input"
	run /usr/bin/python3 examples/words.py "$SHC_SOCK" too-much-for-python "$bin/input"
	expect_status 1
	expect_contains "$output" overflow
	shcount del word:full
}

@test "gate.py and the shell count on the same socket" {
	/usr/bin/python3 -c 'import redis' 2>/dev/null || skip "python3-redis is not installed"
	gate() { /usr/bin/python3 examples/gate.py "$SHC_SOCK" "$@"; }
	expect "$(gate alice)" "visit 1, 1 of them by alice"
	expect "$(shcount incr visits)" 2
	expect "$(gate bob)" "visit 3, 1 of them by bob"
	for i in 2 3 4 5; do shcount -q allow gate:alice --limit 5 --per 1h; done
	run gate alice
	expect_status 1
	expect_contains "$output" "come again in"
	expect "$(shcount get visits visits:alice visits:bob | cut -f 2 | paste -sd ' ')" "3 1 1"
	run /usr/bin/python3 examples/gate.py "$SHC_DIR/nobody" alice
	expect_status 69
	run gate
	expect_status 64
}
