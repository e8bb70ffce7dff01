# SPDX-License-Identifier: MIT
# Completion of shcount for bash: commands, options, and names of counters where the server answers at once.
# Works without the bash-completion package.

# The command among the words so far; empty when there is none yet.
_shcount_command() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | -u | --socket | --url | --timeout | --sort | --limit | --interval | --count) ((i++)) ;;
		-f | -F | -k | -d | --format | --separator | --field | --delta | --prefix | --on-error | --stream | --once) ((i++)) ;;
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
	get | explain) echo "--strict" ;;
	watch) echo "--interval --count" ;;
	list) echo "--sort --limit" ;;
	ingest) echo "-f --format -F --separator -k --field -d --delta --prefix --on-error --stream --eof" ;;
	backup) echo "--force" ;;
	esac
}

_shcount() {
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command names
	local commands="incr decr get set del list ingest watch explain shards stats ping sync backup help"
	local IFS=$' \t\n'
	COMPREPLY=()
	case $before in
	-s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "name value" -- "$current")
		return
		;;
	--on-error)
		mapfile -t COMPREPLY < <(compgen -W "stop skip" -- "$current")
		return
		;;
	-f | --format)
		mapfile -t COMPREPLY < <(compgen -W "lines tsv" -- "$current")
		return
		;;
	-u | --url | --timeout | --limit | --interval | --count | -F | --separator | -k | --field | -d | --delta | --prefix | --stream | --once) return ;;
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
	ingest | backup)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	incr | decr | get | set | del | watch | explain | shards)
		# Only names that the shell would take as they are.
		names=$(shcount list --timeout 300ms --limit 200 "${current//[^[:alnum:]_.\/-]/?}*" 2>/dev/null |
			cut -f1 | grep -E '^[[:alnum:]_./-]+$')
		mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
		;;
	esac
}

complete -F _shcount shcount
