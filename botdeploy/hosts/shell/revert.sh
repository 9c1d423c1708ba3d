# revert: back to a proven release, by the same guard that switches. Repeatable.
#
#   revert TOKEN RUN TARGET REASON [DIGEST|- [CAUSE [ERROR ...]]]
#
# TARGET is a release, or "-" for the one recorded when the release that runs was armed. DIGEST is
# quarantined, and with it each ERROR (a JSON object) that it failed for. CAUSE is a word for programs:
# verdict or person.
# → {"reverted": {...}}, or {"unchanged": {...}} when that is what runs already

act_revert() {
	token=${1:-} run=${2:-} target=${3:-} why=${4:-} bad=${5:--} cause=${6:-person}
	need_lock "$token"
	need_id run "$run"
	[ "$target" = - ] || need_id target "$target"
	need_line reason "$why"
	is_name "$cause" || fault usage "the cause is one word"
	if [ "$bad" != - ]; then
		need_id digest "$bad"
		if [ $# -gt 6 ]; then shift 6; else shift $#; fi
		for error in "$@"; do need_line error "$error"; done
		quarantine "$bad" "$why" "$@" || :
	fi
	announce
	fence
	need_lock "$token"
	if [ -e "$STATE/pending" ] && [ "$target" = - ]; then
		run=$(field "$STATE/pending" run)
		rm -f "$STATE/stuck"
		claim_revert controller "$cause" "$why"
	elif [ -e "$STATE/reverting" ] && [ "$target" = - ]; then
		run=$(field "$STATE/reverting" run)
	elif [ "$(field "$STATE/reverting" run)" = "$run" ] || [ "$(field "$STATE/reverted" run)" = "$run" ]; then
		: # under way, or done, by an earlier call
	else
		[ ! -e "$STATE/pending" ] || claim_revert controller "$cause" "$why"
		if [ -e "$STATE/reverting" ]; then
			unfence
			await_guard reverting 960 || fault busy "an earlier run is still going back; try again"
			fence
			need_lock "$token"
		fi
		go_back
	fi
	unfence
	unannounce
	await_guard reverting 960 || fault timeout "the revert did not end within 16 minutes"
	tell_reverted
}

# go_back: nothing is pending; write what the guard shall do, fence held.
go_back() {
	link_of current
	now=$linked
	if [ "$target" = - ] && [ "$bad" != - ]; then
		# What is to be left was left meanwhile, by this host itself: not one release further.
		digest_of "$now"
		[ "$digest" = "$bad" ] || target=$now
	fi
	[ "$target" != - ] || recorded_target
	if [ -n "$target" ] && ! is_complete "$target"; then
		fault not-staged "release $target is not complete on this host"
	fi
	unit_state
	running_release
	if [ "$target" = "$now" ] && [ "$running" = "$now" ] && { [ -z "$now" ] || [ "$ActiveState" = active ]; }; then
		unfence
		unannounce
		emit "{\"unchanged\": {\"release\": \"$now\"}}"
		finish 0
	fi
	link_of previous
	latest_phase
	rm -f "$STATE/stuck"
	wall
	put_back "$STATE/reverting" "run=$run
new=$now
old=$target
was_current=$now
was_previous=$linked
armed=$wall_at
armed_s=$wall_s
owner=$(field "$RUN/lock" owner)
login=$(field "$RUN/lock" login)
seq=$((latest_seq + 1))
by=controller
cause=$cause
why=$why" || fault write "cannot write $STATE/reverting; nothing was changed"
}

# recorded_target: what the release that runs came from, in $target. Empty only where nothing ever
# passed here: then going back means that the bot is stopped and leaves no link.
recorded_target() {
	target=''
	[ -n "$now" ] || return 0
	if [ "$(field "$STATE/confirmed" new)" = "$now" ]; then
		target=$(field "$STATE/confirmed" old)
		[ "$target" != "$now" ] && is_complete "$target" && ! is_quarantined "$target" || target=''
	fi
	if [ -z "$target" ]; then
		link_of previous
		[ "$linked" = "$now" ] || ! is_target "$linked" || target=$linked
	fi
	[ -n "$target" ] || last_proven_but "$now" "$now"
	if [ -z "$target" ] && is_target "$now"; then
		fault no-target "no other release was proven here: nothing to return to; $now stays"
	fi
}

# claim_revert BY CAUSE WHY: pending becomes reverting; fence held. The rename alone decides, so it
# works on a full disk too; who and why stand beside it where there is room.
claim_revert() {
	mv -T "$STATE/pending" "$STATE/reverting" && sync "$STATE" || fault write "cannot rename $STATE/pending"
	rm -f "$RUN/lease"
	put_run claim "by=$1${NL}cause=$2${NL}why=$3"
	marked=$(cat "$STATE/reverting") || return 0
	put "$STATE/reverting" <<-EOF || :
		$marked
		by=$1
		cause=$2
		why=$3
	EOF
}
