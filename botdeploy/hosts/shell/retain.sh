# retain: what stays after a verdict. It writes PROVEN, QUARANTINE and EVIDENCE, and removes releases.
#
#   prove TOKEN ID KEEP ROLLOUT [WHY]   the release passed: it may be returned to from now on; then prune.
#                                 Refused where it does not run now
#   condemn TOKEN DIGEST WHY [ERROR ...]   quarantine a release that failed, by digest
#   keep TOKEN ID                 store standard input (at most 4 MB) as the evidence of a release
#   evidence ID                   print it, in base64
#
# Kept: what runs, current, previous, what is pending or to return to, of the last KEEP other IDs what was
# proven last (ID, ID+2 and ID+3 count once: they have the same files), and the two newest others for a look
# afterwards. The last proven one never goes.

EVIDENCE_BYTES=4194304

act_prove() {
	token=${1:-} passed=${2:-} keep=${3:-} rollout=${4:-} why=${5:-}
	need_lock "$token"
	need_line reason "$why"
	need_release release "$passed"
	need_number keep "$keep"
	need_id rollout "$rollout"
	is_complete "$passed" || fault not-staged "release $passed is not on this host"
	is_running "$passed" || refuse_not_running
	# What an earlier rollout has proven is proven again: a verdict is one rollout's.
	if ! is_proven "$passed" || [ "$(field "$PROVEN/$passed" rollout)" != "$rollout" ]; then
		audit_first prove "$passed" "done" "$why"
		read_highest_order
		printf '%s\nat=%s\nrollout=%s\n' $((highest + 1)) "$(utc)" "$rollout" | put "$PROVEN/$passed" ||
			fault write "cannot write $PROVEN"
		# It was refused before, and a person has forced it through: it passed, so it is refused no more.
		digest_of "$passed"
		[ -z "$digest" ] || rm -f "$QUARANTINE/$digest"
	fi
	[ -n "$(field "$CONFIRMED" succeeds)" ] || bury_predecessor
	prune "$keep"
	quote "$pruned"
	emit "{\"proven\": \"$passed\", \"pruned\": $json}"
}

act_condemn() {
	token=${1:-} bad=${2:-} why=${3:-}
	need_lock "$token"
	need_id digest "$bad"
	need_line reason "$why"
	if [ $# -gt 3 ]; then shift 3; else shift $#; fi
	for error in "$@"; do need_line error "$error"; done
	is_new=no
	[ -e "$QUARANTINE/$bad" ] || is_new=yes
	[ "$is_new" = no ] || audit_first quarantine "$bad" "done" "$why"
	if [ "$is_new" = yes ] || [ $# -gt 0 ]; then
		quarantine "$bad" "$why" "$@" || fault write "cannot write $QUARANTINE"
	fi
	emit '{"condemned": true}'
}

read_highest_order() { # the highest order of a proven release, in $highest
	highest=0
	set +f
	for mark in "$PROVEN"/*; do
		read_order "${mark##*/}"
		[ "$got" -le "$highest" ] || highest=$got
	done
	set -f
}

prune() { # KEEP; sets pruned. Call after is_running
	pruned=''
	kept=" $running "
	for link in "$CURRENT" "$PREVIOUS"; do
		link_of "$link"
		kept="$kept$linked "
	done
	for state in pending reverting confirmed; do
		load "$STATE/$state" new old
		kept="$kept$new $old "
	done
	find_last_proven_except '' ''
	kept="$kept$target "
	set +f
	proven=$(for mark in "$PROVEN"/*; do
		is_return_target "${mark##*/}" || continue
		read_order "${mark##*/}"
		printf '%s %s\n' "$got" "${mark##*/}"
	done | sort -rn | cut -d ' ' -f 2)
	rest=0 count=0 counted=' '
	for id in $kept; do
		[ "$id" = "$running" ] || ! is_return_target "$id" || counted="$counted${id%+*} "
	done
	for id in $proven; do
		case $kept in *" $id "*) continue ;; esac
		case $counted in *" ${id%+*} "*) continue ;; esac
		counted="$counted${id%+*} "
		count=$((count + 1))
		[ "$count" -gt "$1" ] || kept="$kept$id "
	done
	for folder in $(printf '%s\n' "$RELEASES"/* | sort -t + -k 1,1r -k 2,2nr); do
		[ -d "$folder" ] || continue
		id=${folder##*/}
		is_release "$id" || continue
		case $kept in *" $id "*) continue ;; esac
		if ! is_proven "$id"; then
			rest=$((rest + 1))
			[ "$rest" -gt 2 ] || continue
		fi
		# Out of sight in one rename, so that a release is complete or absent at every instant.
		mkdir -p "$TRASH" && chmod 0700 "$TRASH" &&
			mv -T "$folder" "$TRASH/$id.$$" && pruned="$pruned $id"
	done
	rm -rf "$TRASH"
	if [ -e "$SWITCHES" ] && [ "$(wc -l <"$SWITCHES")" -gt 200 ]; then
		{ printf '0 -\n' && tail -n 100 "$SWITCHES"; } | put "$SWITCHES" || :
	fi
	for mark in "$PROVEN"/* "$EVIDENCE"/*; do
		[ ! -e "$mark" ] || [ -d "$RELEASES/${mark##*/}" ] || rm -f "$mark"
	done
	for mark in "$APPROVED"/*; do # RELEASE+RING
		id=${mark##*/}
		[ ! -e "$mark" ] || [ -d "$RELEASES/${id%+*}" ] || rm -f "$mark"
	done
	set -f
	prune_rendered
	[ -z "$INSTANCE" ] || prune_trees
	pruned=${pruned# }
	[ -z "$pruned" ] || audit prune "" "done" "$pruned"
}

# prune_rendered: the numbers of IDs of which nothing stands here any more.
prune_rendered() {
	[ -e "$RENDERED" ] || return 0
	here=$(find "$RELEASES" -mindepth 1 -maxdepth 1 -printf '%f\n' | sed 's/+[0-9]*$//' | sort -u)
	numbers=$(while IFS='=' read -r id number; do
		case "$NL$here$NL" in *"$NL$id$NL"*) printf '%s=%s\n' "$id" "$number" ;; esac
	done <"$RENDERED")
	printf '%s\n' "$numbers" | put "$RENDERED" || :
}

act_keep() {
	need_lock "${1:-}"
	need_release release "${2:-}"
	head -c $((EVIDENCE_BYTES + 1)) >"$EVIDENCE/$2.new.$$" 2>/dev/null || fault write "cannot store the evidence"
	cat >/dev/null
	if [ "$(stat -c %s "$EVIDENCE/$2.new.$$")" -gt "$EVIDENCE_BYTES" ]; then
		rm -f "$EVIDENCE/$2.new.$$"
		fault too-big "evidence is at most 4 MB"
	fi
	sync "$EVIDENCE/$2.new.$$" && mv -T "$EVIDENCE/$2.new.$$" "$EVIDENCE/$2" &&
		sync "$EVIDENCE" || fault write "cannot store the evidence"
	emit '{"kept": true}'
}

act_evidence() {
	need_release release "${1:-}"
	if [ -f "$EVIDENCE/$1" ]; then
		printf '@@%s {"evidence": "' "$NONCE"
		base64 -w 0 "$EVIDENCE/$1"
		printf '"}\n'
	else
		emit '{"evidence": null}'
	fi
}
