# switch: stop the old release, prove it dead, point the links at the new one, start it, see it
# ready; then keep it only as long as a controller asks for it. The work is the guard's: a service
# of its own under systemd, which a cut connection neither stops nor repeats. This program arms it,
# waits, and tells; called again for the same run it repeats nothing and tells again.
#
#   switch TOKEN RUN NEW TTL      → {"switched": {...}} or {"reverted": {...}}
#   confirm TOKEN RUN             the new release stays; call it over a connection opened afterwards.
#                                 Refused where it does not run, unless a person stopped it
#   extend TOKEN RUN TTL          renew the lease of what is pending
#   tend TOKEN RUN TTL            stay: each line "extend" or "confirm" on standard input does that
#
# State: "pending" (armed or running under lease) is renamed to "confirmed" or to "reverting", and
# that to "reverted", always under the fence; one rename wins, so a late confirm is told it lost.

act_switch() {
	token=${1:-} run=${2:-} new=${3:-} ttl=${4:-}
	need_lock "$token"
	need_id run "$run"
	need_id release "$new"
	need_number ttl "$ttl"
	if [ "$(field "$STATE/pending" run)" != "$run" ] && ! is_settled "$run"; then arm; fi
	await_switch
}

is_settled() { # is this run over, one way or the other?
	for mark in confirmed reverted reverting; do
		[ "$(field "$STATE/$mark" run)" != "$1" ] || return 0
	done
	return 1
}

arm() {
	is_complete "$new" || fault not-staged "release $new is not complete on this host"
	[ -f "$RELEASES/$new/.botdeploy/$UNIT" ] || fault not-staged "release $new has no unit file"
	refuse_foreign
	settle_earlier
	announce
	fence
	need_lock "$token" # it may have been taken while the earlier run went back
	return_target "$new"
	link_of previous
	was_previous=$linked
	link_of current
	latest_phase
	read -r boot </proc/sys/kernel/random/boot_id
	# The lease first: a marker without one would go back at once.
	write_lease "$ttl" && rm -f "$RUN/result" "$RUN/switching" || fault write "cannot write the lease; nothing was changed"
	wall
	put "$STATE/pending" <<-EOF || {
		run=$run
		new=$new
		old=$target
		was_current=$linked
		was_previous=$was_previous
		ttl=$ttl
		armed=$wall_at
		armed_s=$wall_s
		boot=$boot
		armed_up=$now_s
		owner=$(field "$RUN/lock" owner)
		login=$(field "$RUN/lock" login)
		seq=$((latest_seq + 1))
	EOF
		rm -f "$RUN/lease"
		fault write "cannot write $STATE/pending; nothing was changed"
	}
	unfence
	unannounce
}

# refuse_foreign: end here where the bot's unit would hide one of somebody else's. Where ours stands
# already, it goes on: check tells of the other one.
refuse_foreign() {
	! is_our_unit && is_foreign_unit || return 0
	about_foreign
	fault "$kind_of" "$about; $mend"
}

# announce: a guard that waits for the mark which this act is about to write.
announce() {
	trap unannounce EXIT
	put_run announced "$$" || fault write "cannot write $RUN"
	start_guard
}

unannounce() {
	got=''
	[ ! -r "$RUN/announced" ] || read -r got <"$RUN/announced" || :
	[ "$got" != "$$" ] || rm -f "$RUN/announced"
}

# Something of an earlier run is still open: let its guard end it before a new one begins.
settle_earlier() {
	[ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ] || return 0
	fence
	need_lock "$token"
	[ ! -e "$STATE/pending" ] || claim_revert controller person "a newer rollout began"
	unfence
	await_guard reverting 960 || fault busy "an earlier run is still going back; try again"
}

# return_target NEW: what to go back to from NEW, in $target: what runs now when it is proven, else
# the last proven one, else what a controller has confirmed.
return_target() {
	link_of current
	now=$linked target=''
	[ "$now" = "$1" ] || ! is_target "$now" || target=$now
	[ -n "$target" ] || last_proven_but "$now" "$1"
	if [ -z "$target" ] && [ "$now" != "$1" ] && is_complete "$now" && ! is_quarantined "$now" &&
		[ "$(field "$STATE/confirmed" new)" = "$now" ]; then target=$now; fi
}

# last_proven_but A B: the last release but these two that may be returned to, in $target.
last_proven_but() {
	target='' order=0
	set +f
	for mark in "$STATE"/proven/*; do
		mark=${mark##*/}
		is_id "$mark" && [ "$mark" != "$1" ] && [ "$mark" != "$2" ] && is_target "$mark" || continue
		order_of "$mark"
		if [ "$got" -ge "$order" ]; then target=$mark order=$got; fi
	done
	set -f
}

# order_of RELEASE: how many were proven here before it, and itself, in $got.
order_of() {
	got=0
	[ ! -r "$STATE/proven/$1" ] || read -r got <"$STATE/proven/$1" || :
	is_number "$got" || got=0
}

write_lease() {
	tick
	put_run lease $((now_s + $1 + 1))
}

# start_guard [OPTION]: one at a time; its name is the lock. One that runs already will do.
start_guard() {
	case $PROGRAM in "$LIBRARY"/*) ;; *) fault usage "the guard needs the installed program" ;; esac
	said=$(systemctl start "$@" "$GUARD.service" 2>&1) || fault guard "cannot start the guard: ${said%%"$NL"*}"
}

# await_guard MARK SECONDS: until the guard has taken the mark away; a guard that is not there is
# started (somebody stopped it, or it died before the mark that it was started for).
await_guard() {
	tick
	end=$((now_s + $2)) look=$now_s
	[ ! -e "$STATE/$1" ] || ensure_guard
	while [ -e "$STATE/$1" ]; do
		tick
		[ "$now_s" -lt "$end" ] || return 1
		if [ $((now_s - look)) -ge 3 ]; then
			look=$now_s
			ensure_guard
		fi
		sleep 0.05
	done
}

ensure_guard() {
	case $(systemctl is-active "$GUARD" 2>/dev/null) in
	active | activating | deactivating) ;;
	*) start_guard ;;
	esac
}

await_switch() {
	tick
	end=$((now_s + 900)) look=$now_s pause=0.12 # no bot stops and starts faster
	while [ "$now_s" -lt "$end" ]; do
		get "$STATE/reverted" run
		if [ "$got" = "$run" ]; then
			tell_reverted
			return 0
		fi
		get "$RUN/result" run
		if [ ! -e "$STATE/reverting" ] && [ "$got" = "$run" ]; then
			tell_switched "$([ "$(field "$STATE/confirmed" run)" = "$run" ] && printf true || printf false)"
			return 0
		fi
		get "$STATE/confirmed" run
		if [ "$got" = "$run" ]; then
			emit "{\"switched\": {\"new\": \"$(field "$STATE/confirmed" new)\", \"old\": \"$(field "$STATE/confirmed" old)\", \"confirmed\": true}}"
			return 0
		fi
		sleep "$pause"
		pause=0.06
		tick
		if [ $((now_s - look)) -ge 3 ]; then
			look=$now_s
			if [ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ]; then
				ensure_guard
			elif ! is_settled "$run"; then
				fault lost "another run took this one's place"
			fi
		fi
	done
	fault timeout "the switch did not end within 15 minutes"
}

number_of() { # FILE KEY: a number for JSON; 0 when it is none
	get "$1" "$2"
	case $got in '' | *[!0-9.]*) printf 0 ;; *) printf %s "$got" ;; esac
}

tell_switched() { # CONFIRMED
	r=$RUN/result
	emit "{\"switched\": {\"new\": \"$(field "$r" new)\", \"old\": \"$(field "$r" old)\", \"confirmed\": $1, \"downtime_s\": $(number_of "$r" downtime_s), \"ready_s\": $(number_of "$r" ready_s), \"at_us\": $(number_of "$r" at_us), \"invocation\": \"$(field "$r" invocation)\", \"cursor\": $(quoted "$(field "$r" cursor)"), \"unseen\": $(quoted "$(field "$r" unseen)")}}"
}

tell_reverted() {
	r=$STATE/reverted t=$STATE/reverted
	# On a full disk who and why are in /run only.
	[ -n "$(field "$r" by)" ] || [ "$(field "$RUN/reverted" run)" != "$(field "$r" run)" ] || t=$RUN/reverted
	emit "{\"reverted\": {\"new\": \"$(field "$r" new)\", \"old\": \"$(field "$r" old)\", \"by\": $(quoted "$(field "$t" by)"), \"cause\": $(quoted "$(field "$t" cause)"), \"why\": $(quoted "$(field "$t" why)"), \"runs\": $(is_back && printf true || printf false), \"seconds\": $(number_of "$RUN/reverted" seconds), \"unseen\": $(quoted "$(field "$RUN/reverted" unseen)")}}"
}

# is_back: does what was returned to run, or is it between two lives?
is_back() {
	[ ! -e "$STATE/stuck" ] || return 1
	old=$(field "$STATE/reverted" old)
	link_of current
	[ -n "$old" ] && [ "$linked" = "$old" ] || return 0
	runs "$old" || case $ActiveState in activating | deactivating | unknown) ;; *) return 1 ;; esac
}

act_confirm() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	confirm_run "$2"
}

confirm_run() {
	ActiveState=''
	fence
	if [ "$(field "$STATE/pending" run)" = "$1" ] && [ "$(field "$RUN/result" run)" = "$1" ]; then
		if ! runs "$(field "$STATE/pending" new)"; then
			who_ended
			case $ActiveState:$Job:$ended_by in
			*:itself) does_not_run ;;
			inactive:0:* | inactive::* | failed:0:* | failed::*) ;;
			*) does_not_run ;;
			esac
		fi
		audit_first confirm "$(field "$STATE/pending" new)" "done" ""
		mv -T "$STATE/pending" "$STATE/confirmed" && sync "$STATE" || fault write "cannot confirm: $STATE is not writable"
		rm -f "$RUN/lease"
	elif [ "$(field "$STATE/pending" run)" = "$1" ]; then
		fault not-ready "the switch has not ended yet"
	elif [ "$(field "$STATE/confirmed" run)" != "$1" ]; then
		lease_lost "$1"
	fi
	unfence
	[ -n "$ActiveState" ] || runs ''
	tell_running '"confirmed": true'
}

# does_not_run: refuse, and tell what is known of the unit. Call after runs.
does_not_run() {
	tell_running '"fault": "not-running", "message": "the bot does not run"'
	finish 3
}

act_extend() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	need_number ttl "${3:-}"
	extend_run "$2" "$3"
}

extend_run() {
	fence
	if [ "$(field "$STATE/pending" run)" = "$1" ]; then
		write_lease "$2" || fault write "cannot renew the lease"
	elif [ "$(field "$STATE/confirmed" run)" != "$1" ]; then
		lease_lost "$1"
	fi
	unfence
	runs ''
	tell_running '"extended": true'
}

lease_lost() { # RUN
	for mark in reverting reverted; do
		[ "$(field "$STATE/$mark" run)" != "$1" ] || fault lost "the host went back: $(field "$STATE/$mark" why)"
	done
	fault lost "the host knows nothing of this run any more"
}

act_tend() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	need_number ttl "${3:-}"
	while hear $((2 * $3 + 10)); do
		need_lock "$1"
		case $word in
		extend) extend_run "$2" "$3" ;;
		confirm) confirm_run "$2" ;;
		*) fault usage "unknown word on standard input" ;;
		esac
	done
}
