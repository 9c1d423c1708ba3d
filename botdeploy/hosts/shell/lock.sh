# lock: one rollout at a time on this host, for as long as its controller renews the lock.
# Every act that changes the bot asks for it. It writes LOCK; enter also prepares the host (see prepare).
#
#   enter TOKEN TTL KIND USER OWNER WHY [ENVIRONMENT [TAKEN-OVER [INSTANCES [FORM]]]]
#                                         take the lock, prepare the host, observe; then stay: each
#                                         line "renew" on standard input renews the lock, "leave"
#                                         gives it back. The end of input, or no word for twice
#                                         the time to live, leaves it to lapse. INSTANCES are names with
#                                         blanks between them: their locks are taken all or none. FORM
#                                         is the instance ("-": the plain form) that takes the place of
#                                         what stands here in the other form; that one's lock is
#                                         taken, too.
#   renew TOKEN TTL                       once
#   leave TOKEN                           give it back
#   unlock WHO                            a person takes it away
#
# KIND is rollout or rollback. A rollback takes the lock from a rollout; nothing else does. Nothing is
# prepared or written before the lock is ours, and a preparation that fails gives the lock back.

act_enter() {
	token=${1:-} ttl=${2:-} kind=${3:-} wanted_user=${4:-} owner=${5:-} why=${6:-} environment=${7:-}
	need_id token "$token"
	need_number ttl "$ttl"
	need_line owner "$owner"
	need_line why "$why"
	need_line environment "$environment"
	entered=${9:-${INSTANCE:--}} form=${10:-} taken_over=${8:-} predecessor=''
	for one in $entered $form; do [ "$one" = - ] || is_instance "$one" || fault usage "$one is not an instance's name"; done
	case $kind in rollout | rollback) ;; *) fault usage "unknown kind of lock" ;; esac
	each_instance "$entered" need_own "$taken_over"
	if [ "$kind" = rollout ]; then
		[ -z "$form" ] || each_instance "$form" find_predecessor "$form" "$taken_over"
		each_instance "$entered" need_form "$taken_over"
	fi
	each_instance "$entered" need_place
	locked=$entered
	case " $entered " in *" ${form:-none} "*)
		[ -z "$predecessor" ] || { locked="$entered $predecessor" && each_instance "$form" need_takeable; }
		;;
	esac
	name_machine
	trap 'each_instance "$locked" give_lock "$token"' EXIT
	each_instance "$locked" take_lock
	each_instance "$entered" prepare "$wanted_user"
	[ "$locked" = "$entered" ] || each_instance "$form" inherit
	each_instance "$entered" recover
	remove_old_programs
	trap - EXIT
	each_instance "$entered" tell_state
	while read_word $((2 * ttl + 10)); do
		case $word in
		renew) each_instance "$locked" renew_lock "$token" "$ttl" ;;
		leave)
			each_instance "$locked" give_lock "$token"
			emit '{"left": true}'
			return 0
			;;
		*) fault usage "unknown word on standard input" ;;
		esac
	done
}

# need_own TAKEN-OVER: a bot here belongs to one environment, the one of its last rollout. A record
# that names none is anybody's, and so is one of the environment that is taken over.
need_own() {
	get "$ROLLOUT" environment
	[ -n "$environment" ] && [ -n "$got" ] && [ "$got" != "$environment" ] && [ "$got" != "$1" ] || return 0
	fault environment "$got"
}

act_renew() {
	need_id token "${1:-}"
	need_number ttl "${2:-}"
	each_locked renew_lock "$1" "$2"
}

act_leave() {
	need_id token "${1:-}"
	each_locked give_lock "$1"
	emit '{"left": true}'
}

# each_locked COMMAND …: for the instance, and for the predecessor whose lock was taken with its own.
each_locked() {
	get "$LOCK" with
	each_instance "${INSTANCE:--} $got" "$@"
}

act_unlock() {
	need_line who "${1:-}"
	fence
	if [ -e "$LOCK" ]; then
		lock_record
		audit_first unlock "" "done" "taken from $(field "$LOCK" owner)" "$1"
		rm -f "$LOCK"
		emit "{\"unlocked\": $record}"
	else
		emit '{"unlocked": null}'
	fi
	unfence
}

# lock_left: seconds until the lock lapses, 0 when nobody holds it, in $left.
lock_left() {
	left=0
	get "$LOCK" deadline
	is_number "$got" || return 0
	read_uptime
	[ "$got" -le "$now_s" ] || left=$((got - now_s))
}

# lock_record: the lock as JSON, in $record. The token stays here; its beginning tells holders apart.
lock_record() {
	lock_left
	record=$(
		printf '{"id": "%.8s", ' "$(field "$LOCK" token)"
		members "$LOCK" owner kind why since
		printf ', "left_s": %s}' "$left"
	)
}

# need_lock TOKEN: go on only for the holder. An expired lock that nobody else took is still the holder's.
need_lock() {
	need_id token "$1"
	get "$LOCK" token
	[ "$got" != "$1" ] || return 0
	lock_left
	[ "$left" -eq 0 ] || lock_lost
	fault lost-lock "the lock expired and was given up; nothing was changed"
}

lock_lost() {
	lock_record
	emit "{\"fault\": \"locked\", \"message\": \"somebody else has the lock\", \"instance\": \"$INSTANCE\", \"lock\": $record}"
	finish 4
}

# name_machine: by this name a controller sees that two of its addresses lead to the same machine.
name_machine() {
	[ ! -s "$MACHINE" ] || return 0
	read -r drawn </proc/sys/kernel/random/uuid
	{ printf '%s\n' "$drawn" >"$MACHINE.new.$$" && ln "$MACHINE.new.$$" "$MACHINE"; } 2>/dev/null || :
	rm -f "$MACHINE.new.$$"
}

take_lock() {
	prepare_run
	fence
	get "$LOCK" token
	holder=$got
	lock_left
	if [ -n "$holder" ] && [ "$holder" != "$token" ] && [ "$left" -gt 0 ]; then
		get "$LOCK" kind
		if [ "$kind" != rollback ] || [ "$got" = rollback ]; then lock_lost; fi
	fi
	since=''
	[ "$holder" != "$token" ] || since=$(field "$LOCK" since)
	read_uptime
	login
	put_run "$LOCK" "token=$token${NL}deadline=$((now_s + ttl + 1))${NL}kind=$kind${NL}since=${since:-$(utc)}${NL}owner=$owner${NL}login=$login${NL}why=$why${NL}environment=$environment${NL}form=$form${NL}taken_over=$taken_over$([ "$form" != "${INSTANCE:--}" ] || printf '\nwith=%s' "$predecessor")" ||
		fault state "cannot write the lock in $RUN_DIR"
	unfence
}

renew_lock() { # TOKEN TTL
	fence
	get "$LOCK" token
	[ "$got" = "$1" ] || lock_lost
	read_uptime
	renewed=$(sed "s/^deadline=.*/deadline=$((now_s + $2 + 1))/" "$LOCK") && put_run "$LOCK" "$renewed" ||
		fault state "cannot write the lock in $RUN_DIR"
	unfence
	emit '{"renewed": true}'
}

give_lock() {
	[ -e "$LOCK" ] || return 0
	fence
	get "$LOCK" token
	[ "$got" != "$1" ] || rm -f "$LOCK"
	unfence
}

# recover: an earlier run was cut between arming and its guard's start, or left files. Finish it.
recover() {
	remove_stale_files
	remove_left_groups
	rm -rf "$PARTIALS" "$TRASH"
	remove_stale_incoming "$RELEASES"
	! is_open || systemctl is-active -q "$GUARD" || start_guard
}

# remove_old_programs: those of other versions go, unless a sudo rule names them, or a unit of an instance
# that was not entered. None is at work: nothing is open, and the lock is ours.
remove_old_programs() {
	! is_any_open || return 0
	set +f
	for program in "$LIBRARY"/*/"$BOT"; do
		[ "$program" != "$PROGRAM" ] && [ -f "$program" ] || continue
		grep -qsF "$program" "$SUDOERS" "$UNITS"/botdeploy-*"$BOT"* || { rm -f "$program" && rmdir "${program%/*}" 2>/dev/null; }
	done
	set -f
}
