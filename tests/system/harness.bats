#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154 # output is set by run, shc_top by common
# bench/run, which measures us beside others: it measures everything it says, and leaves nothing behind. What the figures
# are is not a matter of tests.

bats_require_minimum_version 1.5.0
load common

setup_file() {
	new_place
	[ -x "$BUILD/bench/spawn" ] || {
		echo "make bench-programs comes first" >&2
		return 1
	}
	export TMPDIR=$SHC_DIR
	BUILD=$BUILD "$shc_top/bench/run" --size tiny --report "$SHC_DIR/report" >"$SHC_DIR/out" 2>"$SHC_DIR/err" || {
		cat "$SHC_DIR/err" >&2
		return 1
	}
}

teardown_file() {
	remove_place
}

@test "every case of the benchmark has a row in the table, with figures, and how to measure it alone" {
	run -0 --separate-stderr "$shc_top/bench/run" --list
	local case
	for case in $output; do
		grep -F "\`bench/run $case\`" "$SHC_DIR/report/bench.md" >"$SHC_DIR/rows" || {
			echo "no row of $case" >&2
			return 1
		}
	done
	expect "$(grep -c 'failed:\|not installed' "$SHC_DIR/report/bench.md")" 0
}

# shellcheck disable=SC2016 # $0 is of awk
@test "the table is one: each line of it has as many columns" {
	run -0 awk -F '[^\\\\][|]' '/^\| / { n[NF] = $0 } END { for (k in n) print n[k] }' "$SHC_DIR/report/bench.md"
	expect "${#lines[@]}" 1
}

@test "the picture is well-formed SVG, with a curve of each kind and a group of bars for each thing compared" {
	run -0 python3 - "$SHC_DIR/report/bench.svg" <<'EOT'
import sys, xml.etree.ElementTree as ET
svg = "{http://www.w3.org/2000/svg}"
root = ET.parse(sys.argv[1]).getroot()
print(root.tag == svg + "svg", len(root.findall(f".//{svg}polyline")), len(root.findall(f".//{svg}rect[@class='ours']")))
EOT
	expect "$output" "True 12 6"
}

@test "ahead is above 1 where ours is better, whether less is better or more; it is the median of ratios, not a ratio of medians" {
	run -0 python3 - "$shc_top/bench" <<'EOT'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from harness import rows, table
# The machine is four times slower in the second round, and ours was half as dear in each.
cost, = rows.compare("p/c", "", "ns", [10, 40, 30], {"peer": [20, 80, 60]}, targets={"peer": rows.ahead(2)})
rate, = rows.compare("p/c", "", "1/s", [10, 40, 5], {"peer": [20, 80, 20]}, more_is_better=True, targets={"peer": rows.ahead(0.6)})
size = rows.alone("p/c", "", "bytes", 57, rows.ours_at_most(56))
print([(r.ours, r.theirs, r.ratio, r.target.is_met(r)) for r in (cost, rate, size)])
print(table.ratio(rate), table.target_words(rate), table.target_words(size), sep=" | ")
EOT
	expect "${lines[0]}" "[(30, 60, 2.0, True), (10, 20, 0.5, False), (57, None, None, False)]"
	expect "${lines[1]}" "0.50 (0.25–0.50) | ≥ 0.6 | ≤ 56 bytes"
}

@test "a part that is named is measured alone" {
	run -0 --separate-stderr "$shc_top/bench/run" --size tiny durable/one-connection
	expect "$(grep -c 'bench/run durable/one-connection' <<<"$output")" 2
	expect "$(grep -c 'bench/run' <<<"$output")" 2
}

@test "what is no part is refused, and nothing is measured" {
	run --separate-stderr "$shc_top/bench/run" --size tiny nothing
	expect_status 2
	expect_contains "$stderr" "no part 'nothing'"
}

# In a session of its own: its servers are those of its session.
has_servers() {
	pgrep -s "$1" -f "redis-server|shcounterd" >/dev/null
}

has_none() {
	! pgrep -s "$1" >/dev/null
}

is_ended_by() { # SIGNAL
	setsid env --default-signal=INT,HUP "$shc_top/bench/run" --size full server/p1-hot >"$SHC_DIR/ended.out" 2>&1 3>&- &
	local pid=$!
	wait_until has_servers "$pid"
	kill "-$1" "$pid"
	wait "$pid" || true
	wait_until has_none "$pid"
}

@test "no server is left behind by a benchmark that is ended, or killed" {
	is_ended_by INT
	is_ended_by TERM
	is_ended_by HUP
	expect "$(find "$TMPDIR" -maxdepth 1 -name 'shcounterd-bench.*')" ""
	is_ended_by KILL
}

@test "a signal while it cleans up, or makes its directory, does not keep the directory" {
	local number
	for number in 1 2 15; do
		TMPDIR=$BATS_TEST_TMPDIR run env --default-signal=INT,HUP /usr/bin/python3 - "$shc_top/bench" $number <<'EOT'
import os, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from harness import ends
from harness.place import Place
number = int(sys.argv[2])
class Stubborn:
    def stop(self):
        for _ in range(3):
            os.kill(os.getpid(), number)
made = tempfile.mkdtemp
def make(**options):
    path = made(**options)
    print(path, flush=True)
    if "makes" in sys.argv:
        os.kill(os.getpid(), number)
    return path
tempfile.mkdtemp = make
ends.listen()
for argument in ("cleans", "makes"):
    sys.argv.append(argument)
    try:
        with Place("build") as place:
            place.servers.append(Stubborn())
            assert os.path.isdir(place.file("bin"))
    except SystemExit as ended:
        print(ended.code, "was heard")
EOT
		echo "$output"
		expect_status 0
		expect "$(grep -c "^$((128 + number)) " <<<"$output")" 2
		expect "$(find "$BATS_TEST_TMPDIR" -name 'shcounterd-bench.*')" ""
	done
}

@test "bench/instructions makes what it counts, and says how it is used" {
	local made=$BATS_TEST_TMPDIR/build
	# What `make` alone would have made.
	cp -a "$BUILD" "$made"
	rm -rf "$made/bench"
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s /bin/false "$BATS_TEST_TMPDIR/bin/valgrind" # to count would take long
	PATH=$BATS_TEST_TMPDIR/bin:$PATH BUILD=$made run "$shc_top/bench/instructions"
	[ -x "$made/bench/hotpath" ]
	# A compiler may be called by several words.
	rm "$made/bench/hotpath"
	touch -r "$made/flags" "$BATS_TEST_TMPDIR/when"
	sed -i 's/^[^-]* -/env &/' "$made/flags"
	touch -r "$BATS_TEST_TMPDIR/when" "$made/flags"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH BUILD=$made run "$shc_top/bench/instructions"
	[ -x "$made/bench/hotpath" ]
	expect "$(cut -d' ' -f1 "$made/flags")" env
	run -0 "$shc_top/bench/instructions" --help
	expect_contains "${lines[0]}" "bench/instructions [--update]: counts the instructions"
	expect "$(grep -c 'set -\|SPDX' <<<"$output")" 0
	run "$shc_top/bench/instructions" --nonsense
	expect_status 2
}

@test "a signal before it has begun ends it without a word" {
	mkdir "$SHC_DIR/early"
	echo 'import os, signal; os.kill(os.getpid(), signal.SIGINT)' >"$SHC_DIR/early/argparse.py"
	PYTHONPATH=$SHC_DIR/early run env --default-signal=INT "$shc_top/bench/run" --list
	expect_status 130
	expect "$output" ""
}

@test "a report that cannot be written is told before anything is measured" {
	local place
	touch "$SHC_DIR/file"
	for place in /proc/x /proc "$SHC_DIR/file"; do
		run "$shc_top/bench/run" --size full --report "$place" server/p1-hot
		expect_status 1
		expect "${#lines[@]}" 1
		expect_contains "$output" "bench/run: the report cannot be written to $place: "
	done
}
