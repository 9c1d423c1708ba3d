# revert: back to a proven release, by the same guard that switches. Repeatable.
#
#   revert TOKEN RUN TARGET REASON [DIGEST]   TARGET is a release or "-" for the one recorded when
#                                             the release that runs was armed; DIGEST is quarantined
#   → {"reverted": {...}}, {"unchanged": {...}} when that is what runs already

act_revert() {
	token=${1:-} run=${2:-} target=${3:-} why=${4:-} digest=${5:-}
	need_lock "$token"
	need_id run "$run"
	[ "$target" = - ] || need_id target "$target"
	need_line reason "$why"
	if [ -n "$digest" ]; then
		need_id digest "$digest"
		quarantine "$digest" "$why"
	fi
	rm -f "$STATE/stuck"
	fence
	if [ -e "$STATE/pending" ] && [ "$target" = - ]; then
		run=$(field "$STATE/pending" run)
		claim_revert controller "$why"
	elif [ -e "$STATE/reverting" ]; then
		run=$(field "$STATE/reverting" run)
	elif [ "$(field "$STATE/reverted" run)" = "$run" ]; then
		: # done by an earlier call
	else
		[ ! -e "$STATE/pending" ] || claim_revert controller "$why"
		go_back
	fi
	unfence
	[ ! -e "$STATE/reverting" ] || systemctl is-active -q "$GUARD" || start_guard
	await_file_gone "$STATE/reverting" 300 || fault timeout "the revert did not end within 5 minutes"
	tell_reverted
}

# go_back: nothing is pending; write what the guard shall do, fence held.
go_back() {
	now=$(release_of_link current)
	if [ "$target" = - ]; then
		target=''
		if [ "$(field "$STATE/confirmed" new)" = "$now" ]; then target=$(field "$STATE/confirmed" old); fi
		[ -n "$target" ] || target=$(release_of_link previous)
		is_proven "$target" && is_complete "$target" && [ "$target" != "$now" ] || target=$(last_proven_but "$now")
	fi
	if [ -n "$target" ] && ! is_complete "$target"; then
		unfence
		fault not-staged "release $target is not complete on this host"
	fi
	unit_state
	if [ "$target" = "$now" ] && [ -n "$now" ] && [ "$(running_release)" = "$now" ]; then
		unfence
		emit "{\"unchanged\": {\"release\": \"$now\"}}"
		finish 0
	fi
	if [ -z "$target" ] && [ -z "$now" ]; then
		unfence
		emit '{"unchanged": {"release": ""}}'
		finish 0
	fi
	printf 'run=%s\nnew=%s\nold=%s\nwas_current=%s\nwas_previous=%s\nby=controller\nwhy=%s\n' \
		"$run" "$now" "$target" "$now" "" "$why" | put "$STATE/reverting" || {
		unfence
		fault write "cannot write $STATE/reverting; nothing was changed"
	}
}

# claim_revert BY WHY: pending becomes reverting; fence held. The rename alone decides, so it works
# on a full disk too; who and why stand beside it where there is room.
claim_revert() {
	mv -T "$STATE/pending" "$STATE/reverting" && sync "$STATE"
	rm -f "$RUN/lease"
	printf 'by=%s\nwhy=%s\n' "$1" "$2" >"$RUN/claim" 2>/dev/null
	{ cat "$STATE/reverting" && printf 'by=%s\nwhy=%s\n' "$1" "$2"; } | put "$STATE/reverting" || :
}

quarantine() { # DIGEST WHY
	is_id "$1" || return 0
	printf '%s\n' "$2" | put "$STATE/quarantine/$1" || :
}
