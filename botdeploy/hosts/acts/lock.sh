# lock: one rollout at a time on this host, held by a lease that its controller renews.
#
#   enter TOKEN TTL KIND USER OWNER WHY   take the lock, prepare the host, observe; then stay: each
#                                         line "renew" on standard input renews the lock, "leave"
#                                         gives it back. The end of input leaves it to lapse.
#   renew TOKEN TTL                       once
#   leave TOKEN                           give it back
#   unlock WHO                            a person takes it away
#
# KIND is rollout, rollback or step. A rollback takes the lock from a rollout; nothing else does.

act_enter() {
	token=${1:-} ttl=${2:-} kind=${3:-} user=${4:-} owner=${5:-} why=${6:-}
	need_id token "$token"
	need_number ttl "$ttl"
	need_line owner "$owner"
	need_line why "$why"
	case $kind in rollout | rollback | step) ;; *) fault usage "unknown kind of lock" ;; esac
	prepare_run
	take_lock
	prepare "$user"
	recover
	emit "{\"state\": $(observed)}"
	while IFS= read -r line; do
		case $line in
		renew) renew_lock "$token" "$ttl" || lock_lost ;;
		leave)
			give_lock "$token"
			return 0
			;;
		*) fault usage "unknown word on standard input" ;;
		esac
	done
}

lock_lost() {
	emit "{\"fault\": \"locked\", \"message\": \"another controller took the lock\", \"lock\": $(lock_record)}"
	finish 4
}

take_lock() {
	fence
	holder=$(field "$RUN/lock" token)
	if [ -n "$holder" ] && [ "$holder" != "$token" ] && [ "$(lock_left)" -gt 0 ]; then
		held=$(field "$RUN/lock" kind)
		if [ "$kind" != rollback ] || [ "$held" = rollback ]; then
			emit "{\"fault\": \"locked\", \"message\": \"somebody else has the lock\", \"lock\": $(lock_record)}"
			finish 4
		fi
	fi
	write_lock "$token" "$ttl" "$kind" "$owner" "$why" || fault state "cannot write the lock in $RUN"
	unfence
}

give_lock() {
	fence
	[ "$(field "$RUN/lock" token)" = "$1" ] && rm -f "$RUN/lock"
	unfence
}

act_renew() {
	need_id token "${1:-}"
	need_number ttl "${2:-}"
	renew_lock "$1" "$2" || lock_lost
}

act_leave() {
	need_id token "${1:-}"
	give_lock "$1"
}

act_unlock() {
	need_line who "${1:-}"
	prepare_run
	fence
	if [ -e "$RUN/lock" ]; then
		emit "{\"unlocked\": $(lock_record)}"
		audit unlock "" done "$1"
		rm -f "$RUN/lock"
	else
		emit '{"unlocked": null}'
	fi
	unfence
}

# recover: an earlier run was cut between arming and its guard's start, or left crumbs. Finish it.
recover() {
	set +f
	rm -f "$HOME_DIR"/*.new.* "$STATE"/*.new.* "$RUN"/*.new.[0-9]*
	set -f
	[ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ] || return 0
	systemctl is-active -q "$GUARD" && return 0
	start_guard
}
