# Completion of ergon for bash: eval "$(ergon completion bash)"
_ergon() {
	local cur=${COMP_WORDS[COMP_CWORD]} reply also
	# bash splits words at = too.
	local -a words=()
	local i
	for ((i = 1; i <= COMP_CWORD; i++)); do
		if ((${#words[@]})) && [[ ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] && [[ ${words[-1]} == -* ]]; then
			words[-1]+=${COMP_WORDS[i]}
		else
			words+=("${COMP_WORDS[i]}")
		fi
	done
	((${#words[@]})) || words=("")
	mapfile -t reply < <("${COMP_WORDS[0]}" completion words -- "${words[@]}" 2>/dev/null)
	also=${reply[0]-}
	COMPREPLY=()
	local word
	for word in "${reply[@]:1}"; do
		word=${word%%$'\t'*}
		[[ ${words[-1]} == -*=* ]] && word=${word#*=} # what stands before the = stays
		COMPREPLY+=("$word")
	done
	[[ $cur == = ]] && cur=
	case $also in
	files) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
	command\ *)
		local n=${also#command }
		if ((COMP_CWORD == n + 1)); then
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -c -- "$cur")
		elif declare -F _comp_command_offset >/dev/null; then
			_comp_command_offset $((n + 1))
		elif declare -F _command_offset >/dev/null; then
			_command_offset $((n + 1))
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
	[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _ergon ergon
