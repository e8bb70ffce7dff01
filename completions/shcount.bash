# SPDX-License-Identifier: MIT
# Completion of shcount for bash: commands, options, and names of counters where the server answers at once.
# Works without the bash-completion package.

# The command among the words so far; empty when there is none yet.
_shcount_command() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | -u | --socket | --url | --timeout | --sort | --limit) ((i++)) ;;
		-f | -F | -k | -d | --format | --separator | --field | --delta | --prefix | --on-error | --from-line | --stream | --once) ((i++)) ;;
		-*) ;;
		*)
			echo "${COMP_WORDS[i]}"
			return
			;;
		esac
	done
}

_shcount_options() {
	echo "-s --socket -u --url --json -q --quiet --timeout -h --help -V --version"
	case $1 in
	incr | decr) echo "--durable --durable=disk --once" ;;
	get) echo "--strict" ;;
	list) echo "--sort --limit" ;;
	export) echo "-f --format" ;;
	import) echo "-f --format --add --on-error" ;;
	ingest) echo "-f --format -F --separator -k --field -d --delta --prefix --on-error --from-line --stream --eof" ;;
	backup) echo "--force" ;;
	esac
}

_shcount() {
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command names
	local commands="incr decr get set del list ingest shards stats ping sync backup export import help"
	local IFS=$' \t\n'
	COMPREPLY=()
	case $before in
	-s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "name value none" -- "$current")
		return
		;;
	--on-error)
		mapfile -t COMPREPLY < <(compgen -W "stop skip" -- "$current")
		return
		;;
	-f | --format)
		command=$(_shcount_command)
		if [[ $command == export || $command == import ]]; then
			mapfile -t COMPREPLY < <(compgen -W "csv json" -- "$current")
			return
		fi
		mapfile -t COMPREPLY < <(compgen -W "lines tsv csv uniq json statsd" -- "$current")
		return
		;;
	-u | --url | --timeout | --limit | -F | --separator | -k | --field | -d | --delta | --prefix | --from-line | --stream | --once) return ;;
	esac
	command=$(_shcount_command)
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_shcount_options "$command")" -- "$current")
		return
	fi
	case $command in
	"" | help)
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
		;;
	ingest | import | backup)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	incr | decr | get | set | del | shards)
		# Only names that the shell would take as they are, and what half a second finds of them; and a key pressed must
		# not start a daemon.
		names=$(SHCOUNT_AUTOSTART=0 timeout 0.5 shcount list --timeout 300ms --sort none --limit 200 "${current//[^[:alnum:]_.\/-]/?}*" 2>/dev/null |
			cut -f1 | grep -E '^[[:alnum:]_./-]+$')
		mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
		;;
	esac
}

complete -F _shcount shcount
