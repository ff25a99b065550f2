#compdef ergon
# Completion of ergon for zsh: eval "$(ergon completion zsh)", after compinit. Or this file is _ergon in a folder of fpath.
_ergon() {
	local -a reply offered
	local also line word meaning
	reply=("${(@f)$("$words[1]" completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	also=$reply[1]
	for line in "${(@)reply[2,-1]}"; do
		word=${line%%$'\t'*} meaning=${line#*$'\t'}
		offered+=("${word//:/\\:}:$meaning")
	done
	((${#offered})) && _describe ergon offered
	case $also in
	files) _files ;;
	command\ *)
		local n=${also#command }
		shift $((n + 1)) words
		((CURRENT -= n + 1))
		_normal
		;;
	esac
}
if [[ $funcstack[1] == _ergon ]]; then # zsh has loaded this file at the first completion
	_ergon "$@"
else
	compdef _ergon ergon
fi
