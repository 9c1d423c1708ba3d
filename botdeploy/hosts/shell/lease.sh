# lease: the marks that say where a change stands, and the lease under which a switch is kept.
# Used by switch, confirm, extend, revert, observe and the guard. It writes the four marks, LEASE, CLAIM and
# ANNOUNCED.
#
#   confirm TOKEN RUN        the new release stays; call it over a connection opened afterwards.
#                            Refused where it does not run, unless a person stopped it
#   extend TOKEN RUN TTL     renew the lease of what is pending
#
# RUN is the id of one switch or one revert. "pending" (armed, or running under lease) is renamed to
# "confirmed" or to "reverting", and that to "reverted", always under the fence. One rename wins, so a
# confirmation that comes too late is refused.

LAPSED="no controller confirmed the release in time"

act_confirm() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	ActiveState=''
	fence
	load "$PENDING" run new
	if [ "$run" = "$2" ]; then
		read_group "$PENDING"
		if [ -z "$in_group" ]; then
			need_confirmable "$2"
		elif ! is_kept; then
			each_member need_confirmable "$2"
			ActiveState=''
		fi
		audit_first confirm "$new" "done" ""
		[ -z "$in_group" ] || keep_group
		mv -T "$PENDING" "$CONFIRMED" && sync "$STATE" || fault write "cannot confirm: $STATE is not writable"
		rm -f "$LEASE"
		leave_group
	else
		need_confirmed "$2"
	fi
	unfence
	[ -n "$ActiveState" ] || is_running ''
	tell_running '"confirmed": true'
}

# need_confirmable RUN: end the act where what is pending here is not ready, or does not run.
need_confirmable() {
	[ "$(field "$RESULT" run)" = "$1" ] || fault not-ready "the switch has not ended yet"
	! is_running "$(field "$PENDING" new)" || return 0
	read_who_ended
	case $ActiveState:$Job:$ended_by in
	*:itself) refuse_not_running ;;
	inactive:0:* | inactive::* | failed:0:* | failed::*) ;;
	*) refuse_not_running ;;
	esac
}

# refuse_not_running: end the act, and tell what is known of the unit, and whose it is. Call after is_running.
refuse_not_running() {
	tell_running "\"fault\": \"not-running\", \"message\": \"the bot does not run\", \"instance\": \"$INSTANCE\""
	finish 3
}

act_extend() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	need_number ttl "${3:-}"
	fence
	if [ "$(field "$PENDING" run)" = "$2" ]; then
		write_lease "$3" || fault write "cannot renew the lease"
	else
		need_confirmed "$2"
	fi
	unfence
	is_running ''
	tell_running '"extended": true'
}

# need_confirmed RUN: it is not pending; go on only if it was confirmed.
need_confirmed() {
	[ "$(field "$CONFIRMED" run)" != "$1" ] || return 0
	for mark in reverting reverted; do
		[ "$(field "$STATE/$mark" run)" != "$1" ] || fault lost "the host went back: $(field "$STATE/$mark" why)"
	done
	fault lost "this host has no record of this switch any more"
}

# --- marks ---------------------------------------------------------------------------------------

# describe_change RUN NEW OLD: the lines of a mark for a change that begins now, in $change_lines.
# Sets linked to what current names. Needs succeeds and joins (see succession), and with (see group).
describe_change() {
	link_of "$PREVIOUS"
	was_previous=$linked
	link_of "$CURRENT"
	find_latest_mark
	read_clock
	change_lines="run=$1
new=$2
old=$3
was_current=$linked
was_previous=$was_previous
armed=$wall_at
armed_s=$wall_s
owner=$(field "$LOCK" owner)
login=$(field "$LOCK" login)
seq=$((latest_seq + 1))${succeeds:+${NL}succeeds=$succeeds}${joins:+${NL}joins=$joins}${with:+${NL}with=$with}"
}

# find_latest_mark: confirmed or reverted, whichever came last, in $latest; its number in $latest_seq.
find_latest_mark() {
	latest='' latest_seq=0
	for phase in confirmed reverted; do
		[ -e "$STATE/$phase" ] || continue
		get "$STATE/$phase" seq
		is_number "$got" || got=0
		if [ -z "$latest" ] || [ "$got" -gt "$latest_seq" ]; then latest=$phase latest_seq=$got; fi
	done
}

is_open() { [ -e "$PENDING" ] || [ -e "$REVERTING" ]; }

# claim_revert BY CAUSE WHY: pending becomes reverting; fence held. The rename alone decides, so it
# works on a full disk too; who and why stand beside it where there is room. What was confirmed with its group
# meanwhile is confirmed.
claim_revert() {
	claimed_by=$1 claimed_cause=$2 claimed_why=$3
	call_group_back || { keep_pending && return; }
	# First of all: the guard looks for it as soon as the mark has its new name.
	put_run "$CLAIM" "run=$(field "$PENDING" run)${NL}by=$claimed_by${NL}cause=$claimed_cause${NL}why=$claimed_why"
	mv -T "$PENDING" "$REVERTING" && sync "$STATE" || fault write "cannot rename $PENDING"
	rm -f "$LEASE"
	marked=$(cat "$REVERTING") || return 0
	put "$REVERTING" <<-EOF || :
		$marked
		by=$claimed_by
		cause=$claimed_cause
		why=$claimed_why
	EOF
}

# claim_lapsed: nobody confirmed what is pending; fence held.
claim_lapsed() {
	read -r boot </proc/sys/kernel/random/boot_id
	get "$PENDING" boot
	if [ "$got" = "$boot" ]; then
		claim_revert host lease "$LAPSED"
	else
		claim_revert host boot "the host restarted before the release was confirmed"
	fi
}

# --- the lease -----------------------------------------------------------------------------------

# write_lease SECONDS: it ends that long from now, by the kernel's clock.
write_lease() {
	read_uptime
	put_run "$LEASE" $((now_s + $1 + 1))
}

# lease_left: seconds until what is pending goes back, in $left.
lease_left() {
	left=0
	word_of "$LEASE"
	is_number "$got" || return 0
	read_uptime
	[ "$got" -le "$now_s" ] || left=$((got - now_s))
}

# is_lapsed: is the lease of what is pending over, or one of its group? A lease of another boot is gone.
is_lapsed() {
	lease_left
	[ "$left" -eq 0 ] || is_called_back
}

# await_lease_end: until the pending run $awaited was confirmed or claimed; a lease that is over claims it. The next
# one may be armed between two looks: that is another run, and work for the guard.
await_lease_end() {
	while [ -e "$PENDING" ] && get "$PENDING" run && [ "$got" = "$awaited" ]; do
		if is_kept; then
			fence
			[ ! -e "$PENDING" ] || ! is_kept || keep_pending
			unfence
		elif is_lapsed; then
			fence
			if [ -e "$PENDING" ] && is_lapsed; then claim_lapsed; fi
			unfence
		else
			sleep 0.2
		fi
	done
}

# --- from the act to the guard -------------------------------------------------------------------

# announce: start a guard that waits for the mark which this act is about to write. An act that is killed
# in between so leaves no mark without a guard.
announce() {
	trap unannounce EXIT
	put_run "$ANNOUNCED" "$$" || fault write "cannot write $RUN_DIR"
	start_guard
}

unannounce() {
	word_of "$ANNOUNCED"
	[ "$got" != "$$" ] || rm -f "$ANNOUNCED"
}

is_announced() {
	word_of "$ANNOUNCED"
	is_number "$got" && [ -d "/proc/$got" ]
}

# await_mark: until the announced mark stands, or the act that announced it is gone.
await_mark() {
	read_uptime
	end=$((now_s + 60))
	while ! is_open && is_announced && [ "$now_s" -lt "$end" ]; do
		sleep 0.03
		read_uptime
	done
}
