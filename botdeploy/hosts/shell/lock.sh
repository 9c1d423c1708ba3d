# lock: one rollout at a time on this host, held by a lease that its controller renews.
#
#   enter TOKEN TTL KIND USER OWNER WHY [ENVIRONMENT [TAKEN-OVER]]
#                                         take the lock, prepare the host, observe; then stay: each
#                                         line "renew" on standard input renews the lock, "leave"
#                                         gives it back. The end of input, or no word for twice
#                                         the time to live, leaves it to lapse.
#   renew TOKEN TTL                       once
#   leave TOKEN                           give it back
#   unlock WHO                            a person takes it away
#
# KIND is rollout, rollback or step. A rollback takes the lock from the others; nothing else does.
# Nothing is prepared, mended or written before the lock is ours, and a preparation that fails gives
# the lock back.

act_enter() {
	token=${1:-} ttl=${2:-} kind=${3:-} wanted_user=${4:-} owner=${5:-} why=${6:-} environment=${7:-}
	need_id token "$token"
	need_number ttl "$ttl"
	need_line owner "$owner"
	need_line why "$why"
	need_line environment "$environment"
	need_own "${8:-}"
	case $kind in rollout | rollback | step) ;; *) fault usage "unknown kind of lock" ;; esac
	take_lock
	trap 'give_lock "$token"' EXIT
	prepare "$wanted_user"
	recover
	trap - EXIT
	tell_state
	while hear $((2 * ttl + 10)); do
		case $word in
		renew)
			renew_lock "$token" "$ttl" || lock_lost
			emit '{"renewed": true}'
			;;
		leave)
			give_lock "$token"
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
	get "$STATE/rollout" environment
	[ -n "$environment" ] && [ -n "$got" ] && [ "$got" != "$environment" ] && [ "$got" != "$1" ] || return 0
	fault environment "$got"
}

act_renew() {
	need_id token "${1:-}"
	need_number ttl "${2:-}"
	renew_lock "$1" "$2" || lock_lost
	emit '{"renewed": true}'
}

act_leave() {
	need_id token "${1:-}"
	give_lock "$1"
	emit '{"left": true}'
}

act_unlock() {
	need_line who "${1:-}"
	fence
	if [ -e "$RUN/lock" ]; then
		lock_record
		audit_first unlock "" "done" "taken from $(field "$RUN/lock" owner)" "$1"
		rm -f "$RUN/lock"
		emit "{\"unlocked\": $record}"
	else
		emit '{"unlocked": null}'
	fi
	unfence
}

# lock_left: seconds until the lock lapses, 0 when nobody holds it, in $left.
lock_left() {
	left=0
	get "$RUN/lock" deadline
	is_number "$got" || return 0
	tick
	[ "$got" -le "$now_s" ] || left=$((got - now_s))
}

# lock_record: the lock as JSON, in $record. The token stays here; its beginning tells holders apart.
lock_record() {
	lock_left
	get "$RUN/lock" token
	record="{\"id\": \"$(printf %.8s "$got")\""
	get "$RUN/lock" owner
	quote "$got"
	record="$record, \"owner\": $json"
	get "$RUN/lock" kind
	record="$record, \"kind\": \"$got\""
	get "$RUN/lock" why
	quote "$got"
	record="$record, \"why\": $json"
	get "$RUN/lock" since
	record="$record, \"since\": \"$got\", \"left_s\": $left}"
}

# need_lock TOKEN: go on only for the holder. A lapsed lock that nobody else took is still ours.
need_lock() {
	need_id token "$1"
	get "$RUN/lock" token
	[ "$got" != "$1" ] || return 0
	lock_left
	[ "$left" -eq 0 ] || lock_lost
	fault lost-lock "the lock lapsed and was given up; nothing was changed"
}

lock_lost() {
	lock_record
	emit "{\"fault\": \"locked\", \"message\": \"somebody else has the lock\", \"lock\": $record}"
	finish 4
}

take_lock() {
	fence
	get "$RUN/lock" token
	holder=$got
	lock_left
	if [ -n "$holder" ] && [ "$holder" != "$token" ] && [ "$left" -gt 0 ]; then
		get "$RUN/lock" kind
		if [ "$kind" != rollback ] || [ "$got" = rollback ]; then lock_lost; fi
	fi
	since=''
	[ "$holder" != "$token" ] || since=$(field "$RUN/lock" since)
	tick
	login
	put_run lock "token=$token${NL}deadline=$((now_s + ttl + 1))${NL}kind=$kind${NL}since=${since:-$(utc)}${NL}owner=$owner${NL}login=$login${NL}why=$why${NL}environment=$environment" ||
		fault state "cannot write the lock in $RUN"
	unfence
}

renew_lock() { # TOKEN TTL; fails when somebody else has it
	fence
	get "$RUN/lock" token
	if [ "$got" != "$1" ]; then
		unfence
		return 1
	fi
	tick
	renewed=$(sed "s/^deadline=.*/deadline=$((now_s + $2 + 1))/" "$RUN/lock") && put_run lock "$renewed" ||
		fault state "cannot write the lock in $RUN"
	unfence
}

give_lock() {
	fence
	get "$RUN/lock" token
	[ "$got" != "$1" ] || rm -f "$RUN/lock"
	unfence
}

# recover: an earlier run was cut between arming and its guard's start, or left crumbs. Finish it.
recover() {
	crumbs
	rm -rf "$PARTIALS" "$HOME_DIR/.trash"
	if [ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ]; then
		systemctl is-active -q "$GUARD" || start_guard
	else
		old_programs
	fi
}

# old_programs: those of other versions go, unless a sudo rule names them. None is at work: nothing is
# pending, and the lock is ours.
old_programs() {
	set +f
	for program in "$LIBRARY"/*/"$BOT"; do
		[ "$program" != "$PROGRAM" ] && [ -f "$program" ] || continue
		grep -qsF "$program" "$SUDOERS" || { rm -f "$program" && rmdir "${program%/*}" 2>/dev/null; }
	done
	set -f
}
