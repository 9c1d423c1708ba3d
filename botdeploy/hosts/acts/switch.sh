# switch: stop the old release, prove it dead, point the links at the new one, start it, see it
# ready; then keep it only as long as a controller asks for it. The work is the guard's: a service
# of its own under systemd, which a cut connection neither stops nor repeats. This program arms it,
# waits, and tells; called again for the same run it repeats nothing and tells again.
#
#   switch TOKEN RUN NEW TTL      → {"switched": {...}} or {"reverted": {...}}
#   confirm TOKEN RUN             the new release stays; call it over a connection opened afterwards
#   extend TOKEN RUN TTL          renew the lease of what is pending
#
# State: "pending" (armed or running under lease) is renamed to "confirmed" or to "reverting", and
# that to "reverted", always under the fence; one rename wins, so a late confirm is told it lost.

act_switch() {
	token=${1:-} run=${2:-} new=${3:-} ttl=${4:-}
	need_lock "$token"
	need_id run "$run"
	need_id release "$new"
	need_number ttl "$ttl"
	if [ "$(field "$STATE/pending" run)" != "$run" ] && ! settled "$run"; then arm; fi
	await_switch
}

settled() { # is this run over, one way or the other?
	[ "$(field "$STATE/confirmed" run)" = "$1" ] || [ "$(field "$STATE/reverted" run)" = "$1" ] ||
		[ "$(field "$STATE/reverting" run)" = "$1" ]
}

arm() {
	is_complete "$new" || fault not-staged "release $new is not complete on this host"
	[ -f "$RELEASES/$new/.botdeploy/$UNIT" ] || fault not-staged "release $new has no unit file"
	refuse_foreign_unit
	settle_earlier
	fence
	old=$(return_target)
	[ "$old" = "$new" ] && old=$(last_proven_but "$new")
	printf 'run=%s\nnew=%s\nold=%s\nwas_current=%s\nwas_previous=%s\nttl=%s\narmed=%s\nowner=%s\n' \
		"$run" "$new" "$old" "$(release_of_link current)" "$(release_of_link previous)" "$ttl" \
		"$(utc)" "$(field "$RUN/lock" owner)" | put "$STATE/pending" || {
		unfence
		fault write "cannot write $STATE/pending; nothing was changed"
	}
	write_lease "$ttl" || {
		rm -f "$STATE/pending"
		unfence
		fault write "cannot write the lease; nothing was changed"
	}
	rm -f "$RUN/result"
	unfence
	start_guard
}

# A unit that somebody wrote by hand is not ours to replace.
refuse_foreign_unit() {
	place=/etc/systemd/system/$UNIT
	if [ -e "$place" ] && [ "$(readlink "$place")" != "$HOME_DIR/current/.botdeploy/$UNIT" ]; then
		fault foreign-unit "$place was not written by botdeploy; to hand the bot over: systemctl disable --now $UNIT; mv $place $place.before-botdeploy"
	fi
}

# Something of an earlier run is still open: let its guard end it before a new one begins.
settle_earlier() {
	[ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ] || return 0
	fence
	[ ! -e "$STATE/pending" ] || claim_revert controller "a newer rollout began"
	unfence
	systemctl is-active -q "$GUARD" || start_guard
	await_file_gone "$STATE/reverting" 120 || fault busy "an earlier run is still going back; try again"
}

return_target() { # what to go back to: what runs now when it is proven, else the last proven
	now=$(release_of_link current)
	if is_proven "$now" && is_complete "$now"; then printf '%s' "$now"; return; fi
	good=$(last_proven_but "$now")
	if [ -n "$good" ]; then printf '%s' "$good"; return; fi
	is_complete "$now" && [ "$(field "$STATE/confirmed" new)" = "$now" ] && printf '%s' "$now"
}

last_proven_but() {
	best='' order=0
	set +f
	for mark in "$STATE"/proven/*; do
		[ -e "$mark" ] || continue
		id=${mark##*/}
		[ "$id" != "$1" ] && is_complete "$id" || continue
		read -r n <"$mark" || n=0
		case $n in '' | *[!0-9]*) n=0 ;; esac
		[ "$n" -ge "$order" ] && best=$id order=$n
	done
	set -f
	printf '%s' "$best"
}

write_lease() {
	printf '%s\n' $(($(uptime_s) + $1 + 1)) >"$RUN/lease.new.$$" && mv -T "$RUN/lease.new.$$" "$RUN/lease"
}

start_guard() {
	tries=0
	while ! systemd-run -q --unit="$GUARD" -p Restart=on-failure -p RestartSec=2 \
		-p StartLimitIntervalSec=0 -p OOMScoreAdjust=-900 -p CollectMode=inactive-or-failed \
		-p TimeoutStopSec=5 -p Description="botdeploy: switch of $BOT, kept only if confirmed" \
		"$PROGRAM" - guard run >/dev/null 2>"$RUN/guard.err"; do
		# The guard of an earlier run may be in its last second, or have died and be due again.
		tries=$((tries + 1))
		systemctl is-active -q "$GUARD" && return 0
		[ "$tries" -lt 60 ] || fault guard "cannot start the guard: $(tail -n 1 "$RUN/guard.err")"
		sleep 0.1
	done
}

await_file_gone() { # FILE SECONDS
	end=$(($(uptime_s) + $2))
	while [ -e "$1" ]; do
		[ "$(uptime_s)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

await_switch() {
	end=$(($(uptime_s) + 900))
	while [ "$(uptime_s)" -lt "$end" ]; do
		if [ "$(field "$RUN/result" run)" = "$run" ]; then
			tell_switched
			return 0
		fi
		if [ "$(field "$STATE/reverted" run)" = "$run" ]; then
			tell_reverted
			return 0
		fi
		if [ "$(field "$STATE/confirmed" run)" = "$run" ]; then
			emit "{\"switched\": {\"new\": \"$(field "$STATE/confirmed" new)\", \"old\": \"$(field "$STATE/confirmed" old)\", \"confirmed\": true}}"
			return 0
		fi
		sleep 0.03
	done
	fault timeout "the switch did not end within 15 minutes"
}

tell_switched() {
	r=$RUN/result
	emit "{\"switched\": {\"new\": \"$(field "$r" new)\", \"old\": \"$(field "$r" old)\", \"confirmed\": false, \"downtime_s\": $(field "$r" downtime_s), \"ready_s\": $(field "$r" ready_s), \"invocation\": \"$(field "$r" invocation)\", \"cursor\": $(quoted "$(field "$r" cursor)")}}"
}

tell_reverted() {
	r=$STATE/reverted
	emit "{\"reverted\": {\"new\": \"$(field "$r" new)\", \"old\": \"$(field "$r" old)\", \"by\": \"$(field "$r" by)\", \"why\": $(quoted "$(field "$r" why)"), \"runs\": $([ -e "$STATE/stuck" ] && printf false || printf true), \"seconds\": $(field "$RUN/reverted" seconds | sed 's/^$/0/')}}"
}

act_confirm() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	fence
	if [ "$(field "$STATE/pending" run)" = "$2" ] && [ "$(field "$RUN/result" run)" = "$2" ]; then
		mv -T "$STATE/pending" "$STATE/confirmed" && sync "$STATE" || fault write "cannot confirm: $STATE is not writable"
		rm -f "$RUN/lease"
		unfence
		audit confirm "$(field "$STATE/confirmed" new)" done ""
		emit '{"confirmed": true}'
	elif [ "$(field "$STATE/confirmed" run)" = "$2" ]; then
		emit '{"confirmed": true}'
	else
		unfence
		fault lost "the lease ended first: $(field "$STATE/reverted" why)"
	fi
}

act_extend() {
	need_lock "${1:-}"
	need_id run "${2:-}"
	need_number ttl "${3:-}"
	fence
	if [ "$(field "$STATE/pending" run)" = "$2" ]; then
		write_lease "$3" || fault write "cannot renew the lease"
	elif [ "$(field "$STATE/confirmed" run)" != "$2" ]; then
		unfence
		fault lost "the lease ended first: $(field "$STATE/reverted" why)"
	fi
	unfence
	emit '{"extended": true}'
}
