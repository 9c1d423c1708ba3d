# switch: to another release, under lease. The work is the guard's; this act arms it, waits, and tells.
# Called again for the same RUN it repeats nothing and tells again. It writes PENDING and LEASE.
#
#   switch TOKEN RUN NEW TTL [WITH [hold|go]]   → {"switched": {...}} or {"reverted": {...}}
#
# WITH names the instances that change their numbers with this one, itself too (see group): the first call arms all,
# and each tells of its own. With "hold" none of them starts before a call with "go": it answers {"stopped": true}
# when all of them are dead.

act_switch() {
	token=${1:-} run=${2:-} new=${3:-} ttl=${4:-}
	need_lock "$token"
	need_id run "$run"
	need_release release "$new"
	need_number ttl "$ttl"
	with=${5:-} hold=${6:-}
	need_group "$with"
	case $hold in '' | hold | go) ;; *) fault usage "hold or go" ;; esac
	if [ "$hold" = go ]; then
		(true >"$BARRIERS/$run/go") 2>/dev/null || : # it is over: that is told
	else
		for one in ${with:-"${INSTANCE:--}"}; do with_instance "$one" make_way; done
		[ -z "$with" ] || lock_forming # who arms a group arms all of it
		for one in ${with:-"${INSTANCE:--}"}; do with_instance "$one" arm_once; done
		[ -z "$with" ] || unlock_forming
	fi
	in_group=$with group_run=$run
	await_switch
}

arm_once() { is_begun || arm_switch; }
is_begun() { [ "$(field "$PENDING" run)" = "$run" ] || is_over "$run"; }

is_over() { # RUN: has it ended, one way or the other?
	for mark in confirmed reverted reverting; do
		[ "$(field "$STATE/$mark" run)" != "$1" ] || return 0
	done
	return 1
}

# make_way: whatever would refuse the switch does so before anything is armed; what is open of an earlier run ends.
# Not under a lock that its guard may need.
make_way() {
	! is_begun || return 0
	is_complete "$new" || fault not-staged "release $new is not complete on this host"
	[ -f "$RELEASES/$new/.botdeploy/$UNIT" ] || fault not-staged "release $new has no unit file"
	refuse_foreign
	finish_earlier_run
}

arm_switch() {
	announce
	fence
	need_lock "$token" # it may have been taken while the earlier run went back
	! is_begun || { unfence && unannounce && return; } # by another call meanwhile
	! is_open || fault busy "another change of $UNIT has begun; nothing was changed"
	find_return_target "$new"
	find_place
	describe_change "$run" "$new" "$target"
	arm_group "$hold"
	read -r boot </proc/sys/kernel/random/boot_id
	# The lease first: a mark without one would go back at once.
	write_lease "$ttl" && rm -f "$RESULT" "$SWITCHING" || { leave_group; fault write "cannot write the lease; nothing was changed"; }
	put "$PENDING" <<-EOF || {
		$change_lines
		ttl=$ttl
		boot=$boot
		armed_up=$now_s
	EOF
		rm -f "$LEASE"
		leave_group
		fault write "cannot write $PENDING; nothing was changed"
	}
	unfence
	unannounce
}

# finish_earlier_run: something of it is still open: its guard ends it before a new one begins.
finish_earlier_run() {
	is_open || return 0
	fence
	need_lock "$token"
	! is_begun || { unfence && return; }
	[ ! -e "$PENDING" ] || claim_revert controller person "a newer rollout began"
	unfence
	await_return || fault busy "an earlier change is still being reverted; try again"
}

# find_return_target NEW: what to go back to from NEW, in $target: what runs now when it is proven, else
# the last proven one, else what a controller has confirmed. One that goes alone ($with is empty) goes back to no
# other number than NEW's: the others keep theirs. It goes back to what runs, though that is not proven.
find_return_target() {
	link_of "$CURRENT"
	now=$linked target=''
	[ "$now" = "$1" ] || ! is_return_target "$now" || target=$now
	if [ -z "$target" ]; then
		find_last_proven_except "$now" "$1"
		if [ -z "$with" ] && [ -n "$(numbers_of "$target")" ] && ! is_same_number "$(numbers_of "$1")" "$(numbers_of "$target")"; then
			target=$now
			[ "$now" != "$1" ] && is_complete "$now" && ! is_quarantined "$now" || target=''
		fi
	fi
	if [ -z "$target" ] && [ "$now" != "$1" ] && is_complete "$now" && ! is_quarantined "$now" &&
		[ "$(field "$CONFIRMED" new)" = "$now" ]; then target=$now; fi
	# One that ran nothing had no work by the old numbers.
	[ -z "$with" ] || [ -n "$now" ] || target=''
}

# find_place: does it begin in the place of another one, in $succeeds, or come along with such a change, in $joins?
find_place() {
	joins=''
	find_locked_predecessor
	succeeds=$predecessor
	need_place
	if [ -n "$succeeds" ]; then
		target=''
		need_takeable
		forget_left
	elif [ -z "$now" ]; then
		find_joined
		[ -z "$joins" ] || target='' # whatever it ran before: it goes with the change
	fi
}

await_switch() {
	read_uptime
	end=$((now_s + 900)) looked=$now_s pause=0.12 # no bot stops and starts faster
	while [ "$now_s" -lt "$end" ]; do
		get "$REVERTED" run
		if [ "$got" = "$run" ]; then
			tell_reverted
			return 0
		fi
		get "$RESULT" run
		if [ ! -e "$REVERTING" ] && [ "$got" = "$run" ] && each_member is_ready_in_group; then
			tell_switched "$RESULT" "$([ "$(field "$CONFIRMED" run)" = "$run" ] && printf true || printf false)"
			return 0
		fi
		get "$CONFIRMED" run
		if [ "$got" = "$run" ]; then # before a reboot, which has taken the result
			tell_switched "$CONFIRMED" true
			return 0
		fi
		if [ "$hold" = hold ] && is_stopped_group; then
			emit '{"stopped": true}'
			return 0
		fi
		sleep "$pause"
		pause=0.06
		read_uptime
		if [ $((now_s - looked)) -ge 3 ]; then
			looked=$now_s
			if is_open; then
				ensure_guard
			elif ! is_over "$run"; then
				fault lost "another switch has replaced this one"
			fi
		fi
	done
	fault timeout "the switch did not end within 15 minutes"
}

tell_switched() { # FILE CONFIRMED
	printf '@@%s {"switched": {"confirmed": %s, ' "$NONCE" "$2"
	members "$1" new old invocation cursor unseen
	number_member downtime_s "$1"
	number_member at_us "$1"
	printf '}}\n'
}
