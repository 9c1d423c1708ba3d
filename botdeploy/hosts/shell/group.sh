# group: instances of this machine that change their numbers together: which share of the work is whose. With two
# numberings side by side two of them would do one share. So all that run by the old numbers are dead before
# the first one starts by the new ones, and the other way round on the way back.
# Used by switch, confirm, revert and the guard. It writes TOGETHER, BARRIERS and REVERTING.
#
# The mark of a change names its group (with: names with blanks between them, "-" for the plain form). Where the
# group stands as a whole, says the name of one file in TOGETHER. It changes by one rename under the group's lock,
# and each member's own mark follows:
#
#   RUN.armed     its members are being switched, or run under lease
#   RUN.kept      confirmed: what is still pending is confirmed
#   RUN.forming   confirmed before, and to go back: not every member has its mark yet, so nothing moves
#   RUN.back      called back: what is still pending goes back. One whose lease is over calls back all
#
# BARRIERS/RUN has a file for each member: stopped.NAME (what ran before the change is proven dead), started.NAME
# (written before the new one starts) and ended.NAME (that one is proven dead again). A reboot takes them along with
# all processes: at a boot each member goes by the name in TOGETHER, before its unit starts.

# read_group MARK: the members, in $in_group, empty where it changes alone; and the run, in $group_run.
read_group() {
	get "$1" run
	group_run=$got
	get "$1" with
	in_group=$got
}

# group_phase: where the group stands, in $phase; empty where it is over. In the order of its life: between two
# looks it may be renamed.
group_phase() {
	for phase in armed forming kept back; do
		[ ! -e "$TOGETHER/$group_run.$phase" ] || return 0
	done
	phase=''
}

make_barrier() { (umask 077 && mkdir -p "$BARRIERS/$group_run"); }
lock_group() {
	(umask 077 && mkdir -p "$BARRIERS") && command exec 7>>"$BARRIERS/lock" && flock -w 120 7 ||
		fault busy "another act holds $BARRIERS/lock"
}
unlock_group() { exec 7>&-; }

# move_group FROM TO: the rename that decides, durably; group's lock held.
move_group() {
	mv -T "$TOGETHER/$group_run.$1" "$TOGETHER/$group_run.$2" && sync "$TOGETHER" || fault write "cannot write $TOGETHER"
}

# each_member COMMAND …: does it succeed for every member?
each_member() {
	for member_name in $in_group; do
		with_instance "$member_name" "$@" || return 1
	done
}

# --- forward -------------------------------------------------------------------------------------

make_together() { [ -d "$TOGETHER" ] || { (umask 077 && mkdir -p "$TOGETHER") && sync "$BOT_STATE"; }; }

# need_group NAMES: what a caller says of the group has this instance in it, and names only.
need_group() {
	[ -n "$1" ] || return 0
	for one in $1; do [ "$one" = - ] || is_instance "$one" || fault usage "$one is not an instance's name"; done
	case " $1 " in *" ${INSTANCE:--} "*) ;; *) fault usage "the instance is not in its group" ;; esac
}

# arm_group HOLD: the first member that is armed begins it; fence held. HOLD: nothing starts before "go".
arm_group() {
	in_group=$with group_run=$run
	[ -n "$in_group" ] || return 0
	lock_group
	group_phase
	case $phase in
	'')
		make_together && printf 'with=%s\nhold=%s\n' "$in_group" "$1" | put "$TOGETHER/$group_run.armed" ||
			fault write "cannot write $TOGETHER; nothing was changed"
		;;
	armed) ;;
	*) fault lost "the instances that change their numbers with this one went back; nothing was changed" ;;
	esac
	unlock_group
}

# await_members: nothing stops before every member is armed. One call arms them: that is waited for no longer than for
# a lease and a minute, however often the lease is renewed. Fails when the change is over before.
await_members() {
	read_group "$PENDING"
	until each_member is_armed; do
		! is_lapsed || return 1
		read_uptime
		if [ "$now_s" -gt $(($(field "$PENDING" armed_up) + $(field "$PENDING" ttl) + 60)) ]; then
			fence
			[ ! -e "$PENDING" ] || claim_revert host lease "not every instance that changes its number could be armed"
			unfence
			return 1
		fi
		sleep 0.1
	done
}
is_armed() {
	get "$PENDING" run
	[ "$got" = "$group_run" ]
}

# pass_barrier MARK: what ran here is proven dead; wait until nothing runs that must not run beside what starts now.
# Sets failed when the change is over before. A return waits for as long as it takes.
pass_barrier() {
	read_group "$STATE/$1"
	[ -n "$in_group" ] || return 0
	if [ "$1" = reverting ]; then
		log "$NAME is stopped; wait for $in_group"
		note_ended
		until is_ended_group; do sleep 0.05; done
		return 0
	fi
	note_member stopped || { failed="cannot write $BARRIERS"; return 1; }
	until is_stopped_group && may_go; do
		! is_lapsed || { failed=$LAPSED; return 1; }
		sleep 0.05
	done
	lock_group
	group_phase
	[ "$phase" = armed ] || failed=$LAPSED
	[ -n "$failed" ] || note_member started || failed="cannot write $BARRIERS"
	unlock_group
	[ -z "$failed" ]
}

# note_member WHAT: of this instance, at the barrier; on a full disk from the reserve.
note_member() {
	noted=$BARRIERS/$group_run/$1.${INSTANCE:--}
	write_note || { rm -f "$RUN_DIR/reserve" && write_note; }
}

write_note() { (umask 077 && make_barrier && true >"$noted") 2>/dev/null; }

# note_ended: what ran here by the new numbers is proven dead; the others wait for that. With REVERTING there.
note_ended() {
	read_group "$REVERTING"
	[ -z "$in_group" ] || until note_member ended; do sleep 0.1; done
}

is_stopped_group() {
	for member_name in $in_group; do
		[ -e "$BARRIERS/$group_run/stopped.$member_name" ] || return 1
	done
}
is_ended_group() {
	for member_name in $in_group; do
		[ ! -e "$BARRIERS/$group_run/started.$member_name" ] || [ -e "$BARRIERS/$group_run/ended.$member_name" ] || return 1
	done
}

# may_go: where other machines have members too, a controller says when those are dead.
may_go() {
	[ -e "$BARRIERS/$group_run/go" ] && return 0
	get "$TOGETHER/$group_run.armed" hold
	[ "$got" != hold ]
}

is_ready_in_group() {
	get "$RESULT" run
	[ "$got" = "$group_run" ]
}

# --- confirmed -----------------------------------------------------------------------------------

# keep_group: one member is confirmed, and so are all; fence held.
keep_group() {
	lock_group
	group_phase
	case $phase in
	armed) move_group armed kept ;;
	kept) ;;
	*) fault lost "the host went back: an instance that changed its numbers with this one did" ;;
	esac
	unlock_group
}

# is_kept: was another member confirmed, and so this one, too?
is_kept() {
	get "$PENDING" with
	[ -n "$got" ] || return 1
	get "$PENDING" run
	[ -e "$TOGETHER/$got.kept" ]
}

# keep_pending: confirmed with its group; fence held.
keep_pending() {
	read_group "$PENDING"
	audit confirm "$(field "$PENDING" new)" "done" "with the instances that changed their numbers with it" \
		"$(field "$PENDING" owner)" "$(field "$PENDING" login)"
	mv -T "$PENDING" "$CONFIRMED" && sync "$STATE" || fault write "cannot confirm: $STATE is not writable"
	rm -f "$LEASE"
	leave_group
}

# leave_group: this member's mark is closed; the last one takes along what is known of the group.
leave_group() {
	[ -n "$in_group" ] || return 0
	lock_group
	left_open=no
	for member_name in $in_group; do
		! with_instance "$member_name" is_open_here || left_open=yes
	done
	if [ "$left_open" = no ]; then
		rm -rf "${BARRIERS:?}/$group_run" # the name last: whoever finds that one does this again
		for phase in armed forming kept back; do rm -f "$TOGETHER/$group_run.$phase"; done
		sync "$TOGETHER"
	fi
	unlock_group
}

# remove_left_groups: what a power cut left of groups that are over, or of which no member was armed. Not while
# an act arms or forms one.
remove_left_groups() {
	[ -d "$TOGETHER" ] && (umask 077 && mkdir -p "$BARRIERS") && command exec 3>>"$BARRIERS/forming" || return 0
	if flock -n 3; then
		set +f
		for left in "$TOGETHER"/*.armed "$TOGETHER"/*.forming "$TOGETHER"/*.kept "$TOGETHER"/*.back; do
			[ -e "$left" ] || continue
			in_group=$(field "$left" with) group_run=${left##*/}
			group_run=${group_run%.*}
			leave_group
		done
		set -f
	fi
	unlock_forming
}

# is_open_here: has this instance an open mark of the group?
is_open_here() {
	for one_mark in "$PENDING" "$REVERTING"; do
		get "$one_mark" run
		[ "$got" != "$group_run" ] || return 0
	done
	return 1
}

# --- back ----------------------------------------------------------------------------------------

# is_called_back: does the group of what is pending go back?
is_called_back() {
	get "$PENDING" with
	[ -n "$got" ] || return 1
	get "$PENDING" run
	[ ! -e "$TOGETHER/$got.armed" ] && [ ! -e "$TOGETHER/$got.kept" ]
}

# call_group_back: with the claim of one member. Who came first, and why, counts for all: in $claimed_by,
# $claimed_cause and $claimed_why. Fails where it was confirmed before. Fence held.
call_group_back() {
	read_group "$PENDING"
	[ -n "$in_group" ] || return 0
	lock_group
	group_phase
	claim=$BARRIERS/$group_run/claim
	case $phase in
	kept) unlock_group && return 1 ;;
	armed)
		their_why=$claimed_why
		[ "$claimed_by" = controller ] || their_why="$NAME: $claimed_why"
		make_barrier
		put_run "$claim" "by=$claimed_by${NL}cause=$claimed_cause${NL}why=$their_why"
		move_group armed back
		;;
	*)
		if [ -e "$claim" ]; then
			claimed_by=$(field "$claim" by) claimed_cause=$(field "$claim" cause) claimed_why=$(field "$claim" why)
		fi
		;;
	esac
	unlock_group
}

# find_return_group: which instances change their numbers with this one at the turn that was found (find_turn), in
# $with; empty where it goes alone, and where none goes back to a number: then nobody's share becomes another's. All
# of them go back, so all must be this controller's.
find_return_group() {
	with='' numbered=no from=$now
	! keeps_number || return 0
	environment=$(field "$ROLLOUT" environment)
	for other in $(each_prepared name_this); do
		if [ "$other" != "${INSTANCE:--}" ]; then (with_instance "$other" goes_along) >/dev/null || continue; fi
		with="$with$other "
		[ "$numbered" = yes ] || ! (with_instance "$other" returns_to_number) >/dev/null || numbered=yes
	done
	with=${with% }
	case $numbered:$with in yes:*' '*) ;; *) with='' ;; esac
	for other in $with; do
		[ "$(with_instance "$other" field_of_lock token)" = "$token" ] ||
			fault group "$(unit_called "$other") changes its numbers with this one, and two would do the same work: take all of them back together"
	done
}
name_this() { printf '%s ' "${INSTANCE:--}"; }
field_of_lock() { field "$LOCK" "$1"; }
goes_along() {
	[ "$(field "$ROLLOUT" environment)" = "$environment" ] && [ -L "$CURRENT" ] || return 1
	find_member_turn
	! keeps_number
}
returns_to_number() {
	find_member_turn
	[ -n "$(numbers_at_turn)" ]
}
keeps_number() { is_same_number "$(numbers_of "$now")" "$(numbers_at_turn)"; }

# numbers_at_turn: by which numbers the work of this instance is done after its turn: here, or in the form before.
numbers_at_turn() {
	case $back_to in
	'') numbers_of "$target" ;;
	none) ;;
	*) with_instance "$back_to" numbers_that_stand ;;
	esac
}
numbers_that_stand() {
	standing=$CURRENT
	[ -L "$standing" ] || standing=$CURRENT.left
	link_of "$standing"
	numbers_of "$linked"
}

# find_member_turn: as find_turn, of a member. Where it does not have the release that was asked for, it goes back to
# what it recorded. One that was not there by the old numbers has no work by them: it stops. One that does not run
# what the first one runs ($from) did not change with it: where no release is named, it stays.
find_member_turn() {
	named=$asked
	is_complete "$named" || asked=-
	find_turn_or_none
	case $named in
	- | none) [ "$now" = "$from" ] || target=$now back_to='' ;;
	*) is_complete "$named" || back_to='' ;; # it has no work by those numbers
	esac
	asked=$named
	[ -z "$target" ] || is_complete "$target" || target=''
}
find_turn_or_none() {
	if (find_turn) >/dev/null; then
		find_turn
	else # only this one ever passed here
		link_of "$CURRENT"
		now=$linked target='' back_to=''
	fi
}

# is_same_number NEW OLD: one that knows no count keeps its share where its index stays.
is_same_number() {
	case $1 in
	'' | */*) [ "$1" = "$2" ] ;;
	*) [ "$1" = "${2%%/*}" ] ;;
	esac
}
numbers_of() { field "$RELEASES/${1:--}/.botdeploy/numbers" numbers; } # RELEASE

# form_group: every member gets its mark before any of them moves; no fence held. Whoever comes second finds it done.
form_group() {
	group_run=$run in_group=$with
	lock_forming
	group_phase
	if [ "$phase" = kept ]; then # the confirmation was cut before its end
		get "$TOGETHER/$run.kept" with
		in_group=${got:-$with}
		each_member keep_here
		leave_group
		group_run=$run in_group=$with
		group_phase
	fi
	case $phase in
	'')
		each_member need_closed
		make_together && put_from_reserve "$TOGETHER/$run.forming" "with=$with
asked=$asked
from=$from
bad=$bad
cause=$cause
why=$why" || fault write "cannot write $TOGETHER; nothing was changed"
		mark_members
		;;
	forming) mark_members ;;
	back) ;;
	*) fault busy "the change $run of $with is not over; nothing was changed" ;;
	esac
	unlock_forming
	has_mark || fault busy "the change $run of $with went back earlier; nothing was changed"
}
keep_here() {
	fence
	[ ! -e "$PENDING" ] || ! is_kept || keep_pending
	unfence
}

# finish_forming: its act was killed: what it began goes on. Call with REVERTING there.
finish_forming() {
	read_group "$REVERTING"
	[ -n "$in_group" ] && [ -e "$TOGETHER/$group_run.forming" ] || return 0
	lock_forming
	if [ -e "$TOGETHER/$group_run.forming" ]; then
		run=$group_run
		load "$TOGETHER/$run.forming" with asked from bad cause why
		mark_members
	fi
	unlock_forming
}

lock_forming() {
	(umask 077 && mkdir -p "$BARRIERS") && command exec 3>>"$BARRIERS/forming" && flock -w 900 3 ||
		fault busy "another act holds $BARRIERS/forming"
}
unlock_forming() { exec 3>&-; }

mark_members() {
	each_member mark_return
	lock_group
	each_member note_member started || fault state "cannot write $BARRIERS"
	move_group forming back
	unlock_group
	each_member ensure_guard
}

need_closed() { ! is_open || fault busy "$UNIT is in the middle of another change; nothing was changed"; }
has_mark() { is_open_here || [ "$(field "$REVERTED" run)" = "$group_run" ]; }

# mark_return: this member's own mark, where it has none yet.
mark_return() {
	fence
	if has_mark; then
		unfence
		return 0
	fi
	need_closed
	find_member_turn
	rm -f "$STUCK"
	find_way_to_predecessor
	describe_change "$run" "$now" "$target"
	put_from_reserve "$REVERTING" "$change_lines
by=controller
cause=$cause
why=$why" || fault write "cannot write $REVERTING"
	unfence_theirs
	unfence
}
