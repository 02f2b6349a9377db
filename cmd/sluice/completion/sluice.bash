# bash completion of sluice: source <(sluice completion bash)
_sluice() {
	local line=${COMP_LINE:0:COMP_POINT} current candidate prefix
	current=${line##*[[:space:]]}
	# bash takes ":" and "=" for ends of words and replaces only what follows.
	prefix=${current%"${current##*[:=]}"}
	COMPREPLY=()
	while IFS=$'\t' read -r candidate _; do
		[[ $candidate == "$current"* ]] && COMPREPLY+=("${candidate#"$prefix"}")
	done < <(sluice complete "$line" 2>/dev/null)
}
complete -o default -o nosort -F _sluice sluice
