#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The completions, in the shells they are for: bash and zsh on a terminal (py/complete.py), fish by its own `complete -C`.

# shellcheck disable=SC2154 # stderr and shc_top are set by run and common
# shellcheck disable=SC2016 # single quotes keep what is meant for fish, and for the names
bats_require_minimum_version 1.5.0
load common

setup_file() {
	local name
	new_place
	export PATH=$BUILD:$PATH LC_ALL=C.UTF-8 COMPLETIONS=$shc_top/completions
	# bats would wait for whoever has its descriptors.
	start_daemon 3>&-
	for name in visits a:b:c a:b:d 'a b' "a'q" 'a"q' 'a$x' 'a\x' 'a*' 'a;x' ü 'x[y' $'no\xfftext' $'no\xc2\x9bcontrol' -dash; do
		shcount incr -q -- "$name"
	done
	seq -f 'zz:%.0f' 300 | shcount ingest -q
	shcount incr -q -- zoo
	cd "$SHC_DIR" && touch input.log
}

setup() {
	cd "$SHC_DIR" || return
}

teardown_file() {
	stop_daemon
	remove_place
}

need_shell() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# Types the lines of the table "KEY LINE => LINE AFTER", and fails for each that comes out differently. The expected ends with
# the blank that a shell puts behind what is complete, written as _.
expect_lines() { # SHELL TABLE [COMMAND OF THE SHELL BEFORE]
	local keys expected got failed=0 i
	mapfile -t keys < <(sed 's/ => .*//; s/_$/ /' <<<"$2")
	mapfile -t expected < <(sed 's/.* => //; s/_$/ /' <<<"$2")
	printf '%s\n' "${keys[@]}" | python3 "$BATS_TEST_DIRNAME/py/complete.py" "$1" "$COMPLETIONS" "${3-}" >"$SHC_DIR/got" || failed=1
	mapfile -t got <"$SHC_DIR/got"
	for i in "${!keys[@]}"; do
		expect "${got[i]-}" "${expected[i]}" || { echo "for: ${keys[i]}" >&2 && failed=1; }
	done
	return $failed
}

# What every shell makes of a line.
everywhere() {
	cat <<-'END'
		tab shcount ing => shcount ingest_
		all shcount in => shcount incr ingest_
		tab shcount help ing => shcount help ingest_
		tab shcount -q --timeout 5s ing => shcount -q --timeout 5s ingest_
		tab shcount ingest --on-e => shcount ingest --on-error_
		tab shcount ingest --on-error sk => shcount ingest --on-error skip_
		tab shcount ingest --on-error=sk => shcount ingest --on-error=skip_
		tab shcount ingest -k 3 -f l => shcount ingest -k 3 -f lines_
		tab shcount ingest -k 3 inp => shcount ingest -k 3 input.log_
		tab shcount --on-error skip ingest inp => shcount --on-error skip ingest input.log_
		tab shcount -s so => shcount -s sock_
		tab shcount incr --durable=d => shcount incr --durable=disk_
		tab shcount incr --durable=c => shcount incr --durable=cluster_
		tab shcount uplink re => shcount uplink re
		all shcount uplink re => shcount uplink reset retire_
		tab shcount uplink ver => shcount uplink verify_
		tab shcount uplink reset vis => shcount uplink reset vis
		tab shcount get vis => shcount get visits_
		tab shcount get --strict vis => shcount get --strict visits_
		tab shcount get visits vis => shcount get visits visits_
		tab shcount set vis => shcount set visits_
		tab shcount set visits vis => shcount set visits vis
		tab shcount stats vis => shcount stats vis
		tab shcount get a: => shcount get a:b:
		tab shcount get a\_ => shcount get a\ b_
		tab shcount get 'a_ => shcount get 'a b'_
		tab shcount get "a_ => shcount get "a b"_
		tab shcount get "a\$ => shcount get "a\$x"_
		tab shcount get a\$ => shcount get a\$x_
		tab shcount get a\' => shcount get a\'q_
		tab shcount get "a' => shcount get "a'q"_
		tab shcount get a\" => shcount get a\"q_
		tab shcount get a\\ => shcount get a\\x_
		tab shcount get a\; => shcount get a\;x_
		tab shcount get a\* => shcount get a\*_
		tab shcount get x\[ => shcount get x\[y_
		tab shcount get ü => shcount get ü_
		tab shcount get no => shcount get no
		tab shcount get zo => shcount get zoo_
		tab shcount get z => shcount get z
		tab shcount get zz => shcount get zz
		tab shcount get 'zz => shcount get 'zz
		tab shcount get _ => shcount get _
		tab shcount get -da => shcount get -da
		tab shcount get -- -d => shcount get -- -dash_
		tab shcount -s none get vis => shcount -s none get vis
		tab shcount --socket=none get vis => shcount --socket=none get vis
		tab shcount -u unix:none get vis => shcount -u unix:none get vis
		tab shcounterd --durability c => shcounterd --durability commit_
		tab shcounterd --io=ep => shcounterd --io=epoll_
		all shcounterd --log- => shcounterd --log-format --log-level_
		tab shcounterd -f inp => shcounterd -f input.log_
	END
}

@test "bash completes commands, options, values, files and names, and quotes them" {
	expect_lines bash "$(everywhere)
all shcount get a:b => shcount get a:b:c b:d_"
}

@test "zsh completes commands, options, values, files and names, and quotes them" {
	need_shell zsh
	expect_lines zsh "$(everywhere)
all shcount get a:b => shcount get a:b:c a:b:d_"
}

@test "bash completes also where IFS is something else" {
	expect_lines bash 'tab shcount ing => shcount ingest_
tab shcount incr --durable=d => shcount incr --durable=disk_
tab shcount get vis => shcount get visits_' 'IFS=:'
}

# "LINE => WHAT IS OFFERED, ...", as it is before fish quotes it.
fish_table() {
	cat <<-'END'
		shcount ing => ingest
		shcount in => incr ingest
		shcount help st => stats
		shcount -q --timeout 5s ing => ingest
		shcount ingest --on-e => --on-error
		shcount ingest --on-error sk => skip
		shcount ingest --on-error=sk => --on-error=skip
		shcount ingest -k 3 -f l => lines
		shcount ingest -k 3 inp => input.log
		shcount -s so => sock
		shcount incr --durable => --durable --durable=cluster --durable=disk
		shcount uplink re => reset retire
		shcount get vis => visits
		shcount get --strict visits vis => visits
		shcount set visits vis =>
		shcount get a: => a:b:c a:b:d
		shcount get 'a => a b a"q a$x a'q a* a:b:c a:b:d a;x a\x
		shcount get "a\$ => a$x
		shcount get a\_ => a b
		shcount get a\* => a*
		shcount get x\[ => x[y
		shcount get ü => ü
		shcount get no =>
		shcount get -- -d => -dash
		shcount -s none get vis =>
		shcounterd --durability c => commit
		shcounterd --io=ep => --io=epoll
		shcounterd --log- => --log-format --log-level
		shcounterd -f inp => input.log
	END
}

# Prints what fish offers for each line of its input, without what it says of it, on a line.
fish_offers() {
	fish --no-config -c 'for file in $COMPLETIONS/*.fish; source $file; end
		while read -l line
			echo (complete -C "$line" | string replace -r "\t.*" "")
		end'
}

@test "fish completes commands, options, values, files and names" {
	need_shell fish
	local lines expected
	mapfile -t lines < <(fish_table | sed 's/ =>.*//; s/_$/ /')
	expected=$(fish_table | sed 's/.* =>//; s/^ //')
	expect "$(printf '%s\n' "${lines[@]}" | fish_offers)" "$expected"
}

@test "fish offers what is typed beside some of the names when there are too many" {
	need_shell fish
	fish_offers <<<'shcount get zz' | tr ' ' '\n' >offered
	expect "$(wc -l <offered) $(grep -cx 'zz:[0-9]*' offered) $(grep -cx zz offered)" "202 201 1"
	fish_offers <<<'shcount get ' | tr ' ' '\n' >offered
	expect "$(grep -cx -e -- offered)" 1
}

# What help says of --force, and of ping.
said_of_force() {
	shcount help backup | sed -n 's/^ *--force  *//p'
}

said_of_ping() {
	shcount help | sed -n 's/^  ping  *//p'
}

@test "fish says what a command and an option are" {
	need_shell fish
	run fish --no-config -c 'source $COMPLETIONS/shcount.fish; complete -C "shcount pi"; complete -C "shcount backup --fo"'
	expect "$output" $'ping\t'"$(said_of_ping)"$'\n--force\t'"$(said_of_force)"
}

@test "zsh says what a command and an option are" {
	need_shell zsh
	expect_lines zsh "list shcount pi => ping  -- $(said_of_ping)
list shcount backup --fo => --force  -- $(said_of_force)"
}

# A shcount that notes how it is called.
@test "names are asked for without starting a daemon, of the server on the line, with the pattern escaped" {
	need_shell fish
	need_shell zsh
	local shell
	mkdir -p stub
	cat >stub/shcount <<-END
		#!/bin/sh
		[ "\$1" = help ] || printf '<%s>' "\$SHCOUNT_AUTOSTART" "\$@" >>"$SHC_DIR/calls"
		exec "$BUILD/shcount" "\$@"
	END
	chmod +x stub/shcount
	for shell in bash zsh fish; do
		rm -f calls
		if [ $shell = fish ]; then
			PATH=$SHC_DIR/stub:$PATH fish_offers <<<"shcount -s $SHC_SOCK get 'x["
		else
			echo "tab shcount -s $SHC_SOCK get 'x[" |
				PATH=$SHC_DIR/stub:$PATH python3 "$BATS_TEST_DIRNAME/py/complete.py" $shell "$COMPLETIONS"
		fi
		expect "$(cat calls)" "<0><-s><$SHC_SOCK><list><--timeout><300ms><--sort><none><--limit><201><--><x\\[*>"
	done
}

@test "a server that does not answer costs a moment, and not a word on the terminal" {
	need_shell zsh
	freeze_daemon
	run --separate-stderr expect_lines bash "tab shcount get vis => shcount get vis"
	local of_bash=$status
	run --separate-stderr expect_lines zsh "tab shcount get vis => shcount get vis"
	thaw_daemon
	expect "$of_bash $status" "0 0"
}
