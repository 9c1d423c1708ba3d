# fetch: a release as it was sent here, for a host that was away when it was. It writes nothing.
#
#   fetch TOKEN ID
#
# → {"fetch": {"size_bytes": N, "inodes": N}}, the packed tar of .botdeploy/ in lines of base64,
# {"part": "files"}, and that of the files. Of a named instance the first also has what is known of its
# tree. What a build has made is left out: the other host builds for itself. It holds the release's
# secrets, as what a controller sends does; whoever may deploy the bot may release one that prints them,
# so this gives away no more than that.

act_fetch() {
	need_lock "${1:-}"
	need_release release "${2:-}"
	id=$2
	is_complete "$2" || fault not-staged "release $2 is not on this host"
	find_files "$2"
	tree=$files
	[ ! -e "$tree/.botdeploy/rebuilt" ] || fault no-base "release $2 was changed by its build"
	size=$(du -s --block-size=1 "$tree") && inodes=$(find "$tree" | wc -l) || fault read "cannot read $tree"
	emit "{\"fetch\": {\"size_bytes\": ${size%%"$TAB"*}, \"inodes\": $inodes}}"
	shift $#
	if [ -n "$INSTANCE" ]; then
		set -- -C "$tree/.botdeploy"
		for name in sums tree shared build; do [ ! -e "$tree/.botdeploy/$name" ] || set -- "$@" "./$name"; done
	fi
	(cd "$RELEASES/$id/.botdeploy" && find . -mindepth 1 ! -name staged -print0 |
		tar -c -f - --no-recursion --null -T - "$@" | gzip -1) | base64 -w 16000 || fault read "cannot read $tree"
	emit '{"part": "files"}'
	sent_paths | tar -c -f - -C "$tree" --no-recursion --null -T - | gzip -1 | base64 -w 16000 || fault read "cannot read $tree"
}

# sent_paths: of the paths that stand in the tree, those that were sent, each ended by NUL; a build and
# shared: have added others. One with a line end in it would be two here, and the second might name
# any file of this host. What is missing here is missed by the verification on the other host.
sent_paths() {
	(cd "$tree" && find . -mindepth 1 \( -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' \) -prune \
		-o -printf '%y %m %P %l\t%P\n') |
		awk -F '\t' 'FNR == NR {sent[$0]; next} $1 in sent {printf "%s%c", $2, 0}' "$tree/.botdeploy/tree" -
}
