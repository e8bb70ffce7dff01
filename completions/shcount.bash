# SPDX-License-Identifier: MIT
# Completion of shcount for bash. It names no command and no option: it reads `shcount help` and `shcount help COMMAND`,
# which are made from the tables of the program itself. What is offered for a value follows from what help calls it:
# NAME, GLOB, FILE, PATH, SOCKET, COMMAND, or the words of this|that. Names of counters come from the server, if it answers at once.
# Works without the bash-completion package. In its functions: `words`, the words before the cursor, unquoted; `word`, the one at it.

# Splits the line up to the cursor as the shell would, whatever COMP_WORDBREAKS says.
# Sets words, word, and of the latter: open_quote; cut, how much of it readline leaves alone; is_expanded by the shell.
_shcount_split() {
	local line=${COMP_LINE:0:COMP_POINT} char next i is_word='' cut_before=0
	words=() word='' open_quote='' cut=0 is_expanded=''
	for ((i = 0; i < ${#line}; i++)); do
		char=${line:i:1} next=${line:i+1:1}
		if [[ $open_quote ]]; then
			if [[ $char == "$open_quote" ]]; then
				open_quote='' cut=$cut_before
			elif [[ $open_quote == '"' && $char == \\ && $next == [\"\\\$\`] ]]; then
				word+=$next i=$((i + 1))
			else
				[[ $open_quote == "'" || $char != [\$\`] ]] || is_expanded=1
				word+=$char
			fi
			continue
		fi
		case $char in
		[[:blank:]])
			[[ ! $is_word ]] || words+=("$word")
			is_word='' word='' cut=0 is_expanded=''
			continue
			;;
		\\) word+=$next i=$((i + 1)) ;;
		[\"\']) open_quote=$char cut_before=$cut cut=${#word} ;;
		*)
			[[ $char != [\$\`] ]] || is_expanded=1
			word+=$char
			[[ $COMP_WORDBREAKS != *"$char"* ]] || cut=${#word}
			;;
		esac
		is_word=1
	done
}

# Offers those of the arguments that begin with `word`, written as the shell will read them again.
_shcount_offer() {
	local candidate rest
	for candidate; do
		[[ $candidate == "$word"* ]] || continue
		rest=${candidate:cut}
		case $open_quote in
		"'") rest=${rest//\'/\'\\\'\'} ;;
		'"')
			[[ $rest != *!* ]] || continue # nothing keeps it from the history here
			rest=${rest//\\/\\\\} rest=${rest//\"/\\\"} rest=${rest//\$/\\\$} rest=${rest//\`/\\\`}
			;;
		*) [[ ! $rest ]] || printf -v rest %q "$rest" ;;
		esac
		COMPREPLY+=("$rest")
	done
}

# Reads a page of help: options (--word, -w), the value each takes in `values`, commands, operands.
_shcount_read_help() {
	local line choices
	local option='^ +(-(.), )?--([a-z0-9-]+)(\[=|=| )?([^] ]*)'
	local command='^  ([a-z][a-z-]*)( |$)'
	local usage='^Usage: shcount \[OPTION\.\.\.\] [a-z-]+ ?(.*)$'
	options=() commands=() operands='' values=()
	while IFS= read -r line; do
		if [[ $line =~ $usage ]]; then
			operands=${BASH_REMATCH[1]}
		elif [[ $line =~ $option ]]; then
			options+=("--${BASH_REMATCH[3]}")
			values[--${BASH_REMATCH[3]}]=${BASH_REMATCH[5]}
			[[ ! ${BASH_REMATCH[2]} ]] || values[-${BASH_REMATCH[2]}]=${BASH_REMATCH[5]}
			[[ ${BASH_REMATCH[4]} == '[=' ]] || continue
			values[--${BASH_REMATCH[3]}]= # only as --word=VALUE
			[[ ${BASH_REMATCH[5]} == [[:lower:]]* ]] || continue
			IFS='|' read -ra choices <<<"${BASH_REMATCH[5]}"
			options+=("${choices[@]/#/--${BASH_REMATCH[3]}=}")
		elif [[ $line =~ $command && $line != '  shcount '* ]]; then
			commands+=("${BASH_REMATCH[1]}")
		fi
	done < <("$program" help ${1:+"$1"} 2>/dev/null)
}

# Which option the words end with that still wants its value; empty: none. Sets position, the number of operands before,
# is_ended by --, and connect, the options that say which server.
_shcount_walk() {
	local i j given value option
	position=0 is_ended='' connect=() waiting=''
	for ((i = 1; i < ${#words[@]}; i++)); do
		given=${words[i]} option='' value=''
		if [[ $is_ended || $given != -* || $given == - || $given == -[0-9]* ]]; then
			position=$((position + 1))
			continue
		elif [[ $given == -- ]]; then
			is_ended=1
			continue
		elif [[ $given == --*=* ]]; then
			option=${given%%=*} value=${given#*=}
		elif [[ $given == --* ]]; then
			[[ ! ${values[$given]-} ]] || option=$given i=$((i + 1)) value=${words[i]-}
		else
			for ((j = 1; j < ${#given}; j++)); do
				[[ ${values[-${given:j:1}]-} ]] || continue
				option=-${given:j:1} value=${given:j+1}
				[[ $value ]] || i=$((i + 1)) value=${words[i]-}
				break
			done
		fi
		[[ $i -lt ${#words[@]} ]] || waiting=$option
		case $option in
		-s | --socket | -u | --url | -c | --cluster) connect+=("$option" "${value/#\~\//$HOME/}") ;;
		esac
	done
}

# Names that begin with `word`, from the server, if it answers at once; never starts one. What cannot be shown is left out. Where
# there are more than 200, some of them are shown, and `word` is offered, too: what they have in common is not what all have.
_shcount_names() {
	local pattern=$word lines name
	[[ ! $is_expanded ]] || return
	pattern=${pattern//\\/\\\\} pattern=${pattern//\*/\\*} pattern=${pattern//\?/\\?} pattern=${pattern//\[/\\[}
	mapfile -t lines < <(SHCOUNT_AUTOSTART=0 timeout 0.5 "$program" "${connect[@]}" list --timeout 300ms --sort none --limit 201 -- \
		"$pattern*" 2>/dev/null </dev/null)
	[[ ${#lines[@]} -le 200 ]] || _shcount_offer "$word"
	while IFS= read -r name; do
		name=${name%$'\t'*}
		[[ ! $is_ended && $name == -* ]] || _shcount_offer "$name"
	done < <(printf '%s\n' "${lines[@]}" | LC_ALL=C.UTF-8 grep -ax $'[[:print:]]*\t-*[0-9]*')
}

# What may stand where help says $1; $2 stands before it in the same word.
_shcount_value() {
	local choices
	case $1 in
	[[:lower:]]*)
		IFS='|' read -ra choices <<<"$1"
		_shcount_offer "${choices[@]/#/$2}"
		;;
	NAME | GLOB) _shcount_names ;;
	FILE | PATH | SOCKET) compopt -o default 2>/dev/null ;; # by readline itself
	COMMAND) _shcount_offer "${commands[@]}" ;;
	esac
}

# The n-th operand of "NAME [DELTA]", "[FILE...]".
_shcount_operand() {
	local kinds
	read -ra kinds <<<"${operands//[][]/}"
	[[ ${#kinds[@]} -gt 0 ]] || return
	if [[ $1 -ge ${#kinds[@]} ]]; then
		[[ ${kinds[-1]} != *... ]] || _shcount_value "${kinds[-1]%...}"
	else
		_shcount_value "${kinds[$1]%...}"
	fi
}

_shcount() {
	local program words word open_quote cut is_expanded options commands operands position is_ended connect waiting
	local command='' given IFS=$' \t\n'
	local -A values
	COMPREPLY=()
	program=$(type -P -- "$1") || program=shcount
	_shcount_split
	_shcount_read_help
	for given in "${words[@]:1}"; do
		[[ " ${commands[*]} " != *" $given "* ]] || { command=$given && break; }
	done
	if [[ $command == help ]]; then
		operands=COMMAND
	elif [[ $command ]]; then
		_shcount_read_help "$command"
	fi
	_shcount_walk
	if [[ $waiting ]]; then
		_shcount_value "${values[$waiting]}"
	elif [[ ! $is_ended && $word == --*=* ]]; then
		_shcount_offer "${options[@]}"
		_shcount_value "${values[${word%%=*}]-}" "${word%%=*}="
	elif [[ ! $is_ended && $word == -* ]]; then
		_shcount_offer "${options[@]}"
	elif [[ ! $command ]]; then
		_shcount_offer "${commands[@]}"
	else
		_shcount_operand $((position - 1))
	fi
}

complete -F _shcount shcount
