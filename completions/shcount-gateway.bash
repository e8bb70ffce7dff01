# SPDX-License-Identifier: MIT
# Completion of shcount-gateway for bash: whatever options `shcount-gateway --help` names, and the words of those that take one of some.
# Works without the bash-completion package.

_shcount_gateway() {
	local program line options=() choices
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local option='^ +(-(.), )?--([a-z0-9-]+)( ([^ ]+))?$'
	local -A values
	COMPREPLY=()
	program=$(type -P -- "$1") || program=shcount-gateway
	while IFS= read -r line; do
		[[ $line =~ $option ]] || continue
		options+=("--${BASH_REMATCH[3]}")
		values[--${BASH_REMATCH[3]}]=${BASH_REMATCH[5]}
		[[ ! ${BASH_REMATCH[2]} ]] || values[-${BASH_REMATCH[2]}]=${BASH_REMATCH[5]}
	done < <("$program" --help 2>/dev/null)
	# --io=ep: three words, when = parts them.
	[[ $current != = ]] || current='' COMP_CWORD=$((COMP_CWORD + 1))
	[[ $before != = || $COMP_CWORD -lt 2 ]] || before=${COMP_WORDS[COMP_CWORD - 2]}
	case ${values[$before]-} in
	[[:lower:]]*)
		choices=${values[$before]//|/ }
		mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
		;;
	FILE | PATH) compopt -o default 2>/dev/null ;;
	'') mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$current") ;;
	esac
}

complete -F _shcount_gateway shcount-gateway
