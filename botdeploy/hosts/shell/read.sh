# read: what is kept on this host, printed. It writes nothing.
#
#   audit [N]       the last N (1000) entries of the log of who did what
#   contents        of each release here one hash of its files and its build, and the platform
#   manifest ID     the sums and the tree of a release (or tree:DIGEST), so that only what changed is sent
#   about ID        what a release says of itself, its unit, and its environment without secrets

# A line that a full disk has cut short does not end in the mark.
act_audit() {
	need_number count "${1:-1000}"
	[ -r "$AUDIT" ] || return 0
	grep '^{"at": .*, "v": 1}$' "$AUDIT" | tail -n "${1:-1000}" | while IFS= read -r row; do
		emit "{\"audit\": $row}"
	done
}

# Another environment compares them with its own: whatever is an environment's is left out.
act_contents() {
	quote "$(uname -m)"
	printf '@@%s {"platform": %s, "contents": {' "$NONCE" "$json"
	separator=''
	set +f
	for folder in "$RELEASES"/*; do
		id=${folder##*/}
		is_release "$id" && is_complete "$id" || continue
		printf '%s"%s": "%s"' "$separator" "$id" "$(find_files "$id" && content_of "$files/.botdeploy")"
		separator=', '
	done
	set -f
	printf '}}\n'
}

content_of() { # FOLDER of sums, tree and build; what is not there counts as empty
	for name in sums tree build; do
		cat "$1/$name" 2>/dev/null | sha256sum | cut -c 1-64
	done | sha256sum | cut -c 1-64
}

act_manifest() {
	case ${1:-} in
	tree:*)
		is_digest "${1#tree:}" || fault usage "tree is not a digest"
		is_tree "${1#tree:}" || fault no-tree "the tree ${1#tree:} is not on this host"
		files=$TREES/${1#tree:}
		;;
	*)
		need_release release "${1:-}"
		is_complete "$1" || fault not-staged "release $1 is not on this host"
		find_files "$1"
		;;
	esac
	[ ! -e "$files/.botdeploy/rebuilt" ] || fault no-base "release $1 was changed by its build"
	[ -r "$files/.botdeploy/sums" ] && [ -r "$files/.botdeploy/tree" ] ||
		fault no-base "release $1 has no manifest"
	printf '@@%s {"manifest": "' "$NONCE"
	(cd "$files/.botdeploy" && { cat sums && echo && cat tree; }) | gzip -c | base64 -w 0
	printf '"}\n'
}

act_about() {
	need_release release "${1:-}"
	is_complete "$1" || fault not-staged "release $1 is not on this host"
	about=null
	[ ! -r "$RELEASES/$1/.botdeploy/about" ] || about=$(tr '\n' ' ' <"$RELEASES/$1/.botdeploy/about")
	unit=$RELEASES/$1/.botdeploy/$UNIT
	shown=
	[ ! -r "$RELEASES/$1/.botdeploy/shown" ] || shown=$(base64 -w 0 "$RELEASES/$1/.botdeploy/shown")
	emit "{\"about\": ${about:-null}, \"unit\": \"$(without_mounts "$unit" | base64 -w 0)\", \"shown\": \"$shown\"}"
}
