# retain: what stays after a verdict.
#
#   prove TOKEN ID KEEP      the release passed: it may be returned to from now on; then prune
#   condemn TOKEN DIGEST WHY quarantine a release that failed, by digest
#
# Kept: what runs, current, previous, what is pending or to return to, the last KEEP proven ones,
# and the two newest others for a look afterwards. The last proven one never goes.

act_prove() {
	token=${1:-} id=${2:-} keep=${3:-}
	need_lock "$token"
	need_id release "$id"
	need_number keep "$keep"
	is_complete "$id" || fault not-staged "release $id is not on this host"
	if ! is_proven "$id"; then
		printf '%s\n' "$(($(last_order) + 1))" | put "$STATE/proven/$id" || fault write "cannot write $STATE/proven"
		audit prove "$id" done ""
	fi
	prune "$keep"
	emit "{\"proven\": \"$id\", \"pruned\": \"$pruned\"}"
}

act_condemn() {
	token=${1:-} digest=${2:-} why=${3:-}
	need_lock "$token"
	need_id digest "$digest"
	need_line reason "$why"
	quarantine "$digest" "$why"
	audit quarantine "$digest" done "$why"
	emit '{"condemned": true}'
}

last_order() {
	highest=0
	set +f
	for mark in "$STATE"/proven/*; do
		[ -e "$mark" ] || continue
		read -r n <"$mark" || n=0
		case $n in '' | *[!0-9]*) n=0 ;; esac
		[ "$n" -gt "$highest" ] && highest=$n
	done
	set -f
	printf '%s' "$highest"
}

prune() { # KEEP; sets pruned
	pruned=''
	unit_state
	kept=" $(release_of_link current) $(release_of_link previous) $(running_release) "
	for state in pending reverting confirmed; do
		kept="$kept$(field "$STATE/$state" new) $(field "$STATE/$state" old) "
	done
	set +f
	proven=$(for mark in "$STATE"/proven/*; do
		[ -e "$mark" ] && read -r n <"$mark" && printf '%s %s\n' "$n" "${mark##*/}"
	done | sort -rn | cut -d ' ' -f 2)
	rest=0 count=0
	for id in $proven; do
		case $kept in *" $id "*) continue ;; esac
		count=$((count + 1))
		[ "$count" -gt "$1" ] || kept="$kept$id "
	done
	for folder in $(printf '%s\n' "$RELEASES"/* | sort -r); do
		[ -d "$folder" ] || continue
		id=${folder##*/}
		is_id "$id" || continue
		case $kept in *" $id "*) continue ;; esac
		if ! is_proven "$id"; then
			rest=$((rest + 1))
			[ "$rest" -gt 2 ] || continue
		fi
		# Out of sight in one rename, so that a release is complete or absent at every instant.
		mkdir -p "$HOME_DIR/.trash" && chmod 0700 "$HOME_DIR/.trash" &&
			mv -T "$folder" "$HOME_DIR/.trash/$id.$$" && rm -f "$STATE/proven/$id" && pruned="$pruned $id"
	done
	rm -rf "$HOME_DIR/.trash"
	set -f
	pruned=${pruned# }
}
