#compdef sluice
# zsh completion of sluice: source <(sluice completion zsh), after compinit
_sluice() {
	local -a described
	local candidate text
	while IFS=$'\t' read -r candidate text; do
		described+=("${candidate//:/\\:}:$text")
	done < <(sluice complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)
	if (( $#described )); then
		_describe sluice described
	else
		_files
	fi
}
compdef _sluice sluice
