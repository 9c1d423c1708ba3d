# revert: back to a proven release, by the guard. Repeatable. It writes REVERTING and the quarantine.
#
#   revert TOKEN RUN TARGET REASON [DIGEST|- [CAUSE [ERROR ...]]]
#
# TARGET is a release, "-" for the one recorded when the release that runs was armed, or "none": the bot is
# stopped, also where what runs is proven. DIGEST is quarantined, and with it each ERROR (a JSON object) that it
# failed for. CAUSE is a word for programs: verdict or person.
# → {"reverted": {...}}, or {"unchanged": {...}} when that is what runs already

act_revert() {
	token=${1:-} run=${2:-} target=${3:-} why=${4:-} bad=${5:--} cause=${6:-person}
	need_lock "$token"
	need_id run "$run"
	[ "$target" = - ] || need_release target "$target"
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
	form='' predecessor='' asked=$target
	need_place
	if [ -e "$PENDING" ] && [ "$target" = - ]; then
		rm -f "$STUCK"
		claim_revert controller "$cause" "$why"
		[ -e "$REVERTING" ] || begin_return # it was confirmed with its group
	elif [ -e "$REVERTING" ] && [ "$target" = - ]; then
		: # under way
	elif [ "$(field "$REVERTING" run)" = "$run" ] || [ "$(field "$REVERTED" run)" = "$run" ]; then
		: # under way, or done, by an earlier call
	else
		[ ! -e "$PENDING" ] || claim_revert controller "$cause" "$why"
		if [ -e "$REVERTING" ]; then
			unfence
			await_return || fault busy "an earlier change is still being reverted; try again"
			fence
			need_lock "$token"
		fi
		begin_return
	fi
	unfence
	unannounce
	await_return || fault timeout "the revert did not end within 16 minutes"
	tell_reverted
}

# begin_return: nothing is pending; write what the guard shall do, fence held.
begin_return() {
	with=''
	find_turn
	find_way_to_predecessor
	if [ -z "$now" ] && [ -n "$target" ]; then
		environment=$(field "$ROLLOUT" environment)
		[ -z "$(each_prepared name_other_form "$INSTANCE" '')" ] ||
			fault form "the bot stands here in its other form, and $UNIT would be a second copy of it: change its form with canary"
	fi
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
	find_return_group
	if [ -n "$with" ]; then
		unfence_theirs
		unfence
		form_group
		return
	fi
	rm -f "$STUCK"
	describe_change "$run" "$now" "$target"
	put_from_reserve "$REVERTING" "$change_lines
by=controller
cause=$cause
why=$why" || fault write "cannot write $REVERTING; nothing was changed"
	unfence_theirs
}

# find_turn: what is here, in $now, and what it goes back to, in $target, as $asked says.
find_turn() {
	link_of "$CURRENT"
	now=$linked target=$asked back_to=''
	[ "$target" != none ] || target=''
	if [ "$target" = - ] && [ "$bad" != - ]; then
		# This host has left the bad release by itself meanwhile: it goes back no further.
		digest_of "$now"
		[ "$digest" = "$bad" ] || target=$now
	fi
	[ "$target" != - ] || find_recorded_target
}

# find_way_to_predecessor: where the turn leads to the form before: whose place it is, in $succeeds; its fence held.
find_way_to_predecessor() {
	succeeds='' joins=''
	case $back_to in '' | none) return 0 ;; esac
	succeeds=$back_to
	read_theirs "$succeeds"
	fence_theirs && is_their_successor || fault busy "another act holds $their_fence"
}

# find_recorded_target: what the release that runs came from, in $target. Empty only where nothing ever
# passed here: then going back means that the bot is stopped and leaves no link.
find_recorded_target() {
	target=''
	[ -n "$now" ] || return 0
	find_way_back "$now"
	[ -z "$back_to" ] || return 0
	if [ "$(field "$CONFIRMED" new)" = "$now" ]; then
		target=$(field "$CONFIRMED" old)
		[ "$target" != "$now" ] && is_complete "$target" && ! is_quarantined "$target" || target=''
	fi
	if [ -z "$target" ]; then
		link_of "$PREVIOUS"
		[ "$linked" = "$now" ] || ! is_return_target "$linked" || target=$linked
	fi
	[ -n "$target" ] || find_last_proven_except "$now" "$now"
	if [ -z "$target" ] && is_return_target "$now"; then
		fault no-target "there is no other proven release on this host to return to; $now stays"
	fi
}

tell_reverted() {
	find_reason "$REVERTED"
	printf '@@%s {"reverted": {"runs": %s, ' "$NONCE" "$(has_returned && printf true || printf false)"
	members "$REVERTED" new old
	printf ', '
	members "$reason" by cause why
	member unseen "$RETURNED" unseen
	number_member seconds "$RETURNED"
	tell_predecessor_of "$REVERTED"
	printf '}}\n'
}

# has_returned: does what was returned to run, or is it between two lives?
has_returned() {
	[ ! -e "$STUCK" ] || return 1
	old=$(field "$REVERTED" old)
	link_of "$CURRENT"
	[ -n "$old" ] && [ "$linked" = "$old" ] || return 0
	is_running "$old" || case $ActiveState in activating | deactivating | unknown) ;; *) return 1 ;; esac
}
