# guard: the one that acts. A service of its own under systemd: started by switch or revert,
# restarted by systemd when it dies, started at boot before the bot when something was left open.
#
#   guard run     switch what is armed, then wait: confirmed → end; lease over → go back
#   guard boot    what is unconfirmed at boot goes back before the bot's unit starts
#
# Each step looks before it acts, so a guard that begins again repeats nothing that is done.

act_guard() {
	mode=${1:-run}
	prepare_run
	rm -f "$STATE"/*.new.* 2>/dev/null
	if [ "$mode" = boot ]; then
		fence
		[ ! -e "$STATE/pending" ] || claim_revert host "the host restarted before the release was confirmed"
		unfence
	fi
	if [ -e "$STATE/pending" ] && [ "$(field "$RUN/result" run)" != "$(field "$STATE/pending" run)" ]; then
		switch_release
	fi
	keep_lease
	[ ! -e "$STATE/reverting" ] || go_to_old
}

# --- forward ------------------------------------------------------------------------------------

switch_release() {
	run=$(field "$STATE/pending" run)
	new=$(field "$STATE/pending" new)
	was_current=$(field "$STATE/pending" was_current)
	old=$(field "$STATE/pending" old)
	log "switch $BOT from ${was_current:-nothing} to $new (run $run)"
	unit_state
	begun=$(uptime_cs)
	if [ "$(release_of_link current)" != "$new" ] || [ "$(running_release)" != "$new" ]; then
		stop_bot || { abandon "the old release could not be stopped"; return; }
		stopped=$(uptime_cs)
		cursor=$(last_cursor)
		[ -z "$old" ] || relink "$HOME_DIR/previous" "releases/$old" || { abandon "cannot write the link previous"; return; }
		point_at "$new" || { abandon "cannot write the link current"; return; }
		systemctl reset-failed "$UNIT" 2>/dev/null
		systemctl start --no-block "$UNIT" 2>"$RUN/start.err" || { abandon "systemd refused to start it: $(tail -n 1 "$RUN/start.err")"; return; }
	else
		stopped=$begun
		cursor=$(last_cursor)
	fi
	if await_ready "$new" "$cursor"; then
		unit_state
		ready=$(uptime_cs)
		printf 'run=%s\nnew=%s\nold=%s\ninvocation=%s\ncursor=%s\ndowntime_s=%s\nready_s=%s\n' \
			"$run" "$new" "$old" "$InvocationID" "$cursor" \
			"$(seconds $((ready - begun)))" "$(seconds $((ready - stopped)))" >"$RUN/result.new.$$" &&
			mv -T "$RUN/result.new.$$" "$RUN/result"
		audit switch "$new" ready ""
		log "$new is ready"
	else
		read -r digest _ <"$RELEASES/$new/.botdeploy/digest" || digest=''
		quarantine "$digest" "$not_ready"
		abandon "$not_ready"
	fi
}

seconds() { printf '%s.%02d' $(($1 / 100)) $(($1 % 100)); }

abandon() {
	log "$new: $1"
	fence
	[ ! -e "$STATE/pending" ] || claim_revert host "$1"
	unfence
}

# point_at RELEASE: links, unit and its place in the boot. An empty name takes all of it away.
point_at() {
	place=/etc/systemd/system/$UNIT
	wants=/etc/systemd/system/multi-user.target.wants/$UNIT
	if [ -n "$1" ]; then
		relink "$HOME_DIR/current" "releases/$1" || return 1
		relink "$place" "$HOME_DIR/current/.botdeploy/$UNIT" || return 1
		relink "$wants" "$place" || return 1
	else
		rm -f "$wants" "$place" "$HOME_DIR/current" || return 1
		sync "$HOME_DIR"
	fi
	systemctl daemon-reload
}

# stop_bot: stop the unit and prove its control group empty. Never start anything after a failure.
stop_bot() {
	unit_state
	group=${ControlGroup:-/system.slice/$UNIT}
	case $ActiveState in
	inactive | failed | unknown) ;;
	*) timeout 960 systemctl stop "$UNIT" 2>/dev/null ;;
	esac
	is_dead "$group" && return 0
	systemctl kill -s KILL --kill-who=all "$UNIT" 2>/dev/null
	tries=0
	while [ "$tries" -lt 50 ]; do
		is_dead "$group" && return 0
		for pid in $(unit_pids "$group"); do kill -KILL "$pid" 2>/dev/null; done
		sleep 0.1
		tries=$((tries + 1))
	done
	return 1
}

is_dead() {
	unit_state
	case $ActiveState in inactive | failed | unknown) ;; *) return 1 ;; esac
	[ -z "$(unit_pids "$1")" ]
}

# await_ready RELEASE CURSOR: wait for the sign that the release names; sets not_ready on failure.
await_ready() {
	spec=$RELEASES/$1/.botdeploy/ready
	kind=$(field "$spec" kind) value=$(field "$spec" value) limit=$(field "$spec" timeout)
	case $limit in '' | *[!0-9]*) limit=30 ;; esac
	not_ready='' found=$RUN/ready.$$ watcher=''
	rm -f "$found"
	[ "$kind" != pattern ] || watch_pattern "$2"
	from=$(uptime_cs) first_invocation='' pid_since=$from pid=''
	while :; do
		unit_state
		spent=$(($(uptime_cs) - from))
		if is_broken; then break; fi
		if [ "$ActiveState" = active ] && is_ready; then
			end_watch
			return 0
		fi
		if [ "$spent" -ge $((limit * 100)) ]; then
			not_ready="not ready within $limit s (${kind:-active}${value:+: $value})"
			break
		fi
		if [ "$spent" -lt 300 ]; then sleep 0.03; else sleep 0.2; fi
	done
	end_watch
	return 1
}

watch_pattern() {
	(
		journalctl -q -m -u "$UNIT" ${1:+--cursor="$1"} --no-tail -f -o cat 2>/dev/null | {
			[ -z "$1" ] || IFS= read -r _
			grep -qE -m 1 -e "$value" && : >"$found"
		}
	) &
	watcher=$!
}

end_watch() {
	[ -z "$watcher" ] || pkill -KILL -P "$watcher" 2>/dev/null
	[ -z "$watcher" ] || kill -KILL "$watcher" 2>/dev/null
	rm -f "$found"
}

is_broken() {
	case $ActiveState in
	failed) not_ready="the unit failed before it was ready ($Result, status $ExecMainStatus)" ;;
	inactive)
		# A start job that has not begun yet looks like this as well; one second tells.
		[ "$spent" -gt 100 ] && not_ready="the bot ended before it was ready (status $ExecMainStatus)"
		;;
	esac
	[ "$NRestarts" -eq 0 ] || not_ready="the bot crashed before it was ready (status $ExecMainStatus)"
	[ -n "$not_ready" ]
}

is_ready() {
	case $kind in
	pattern) [ -e "$found" ] ;;
	notify) return 0 ;;
	port) listens "$value" ;;
	http) curl -fsS -o /dev/null -m 3 -- "$value" 2>/dev/null ;;
	command) (cd "$HOME_DIR/current" && timeout 10 runuser -u "$(run_as)" -- /bin/sh -c "$value") >/dev/null 2>&1 </dev/null ;;
	*)
		if [ "$MainPID" != "$pid" ]; then pid=$MainPID pid_since=$(uptime_cs); fi
		[ $(($(uptime_cs) - pid_since)) -ge 200 ]
		;;
	esac
}

listens() { # is a TCP socket of this host listening on the port?
	hex=$(printf ':%04X' "$1")
	awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port {found = 1} END {exit !found}' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# --- keep, or go back ---------------------------------------------------------------------------

keep_lease() {
	while [ -e "$STATE/pending" ]; do
		fence
		if [ -e "$STATE/pending" ] && [ "$(lease_left)" -eq 0 ]; then
			claim_revert host "no controller confirmed the release in time"
		fi
		unfence
		[ -e "$STATE/pending" ] || break
		sleep 0.5
	done
}

go_to_old() {
	old=$(field "$STATE/reverting" old)
	new=$(field "$STATE/reverting" new)
	why=$(field "$STATE/reverting" why)
	[ -n "$why" ] || why=$(field "$RUN/claim" why)
	begun=$(uptime_cs)
	log "return $BOT from $new to ${old:-nothing}: $why"
	unit_state
	if [ "$mode" = boot ]; then
		point_at "$old" || exit 1
		return_previous
		end_revert
		return
	fi
	if [ "$(release_of_link current)" != "$old" ] || [ "$(running_release)" != "$old" ] || [ "$ActiveState" != active ]; then
		stop_bot || { stuck "the bot cannot be stopped"; exit 1; }
		cursor=$(last_cursor)
		point_at "$old" || exit 1
		return_previous
		systemctl reset-failed "$UNIT" 2>/dev/null
		if [ -n "$old" ]; then
			systemctl start --no-block "$UNIT"
			if await_ready "$old" "$cursor"; then rm -f "$STATE/stuck"; else stuck "$not_ready"; fi
		fi
	fi
	end_revert
}

# previous names the release before, where one is proven and is not the one that runs again.
return_previous() {
	before=$(last_proven_but "$old")
	for candidate in "$(field "$STATE/reverting" was_previous)" "$before"; do
		[ -n "$candidate" ] && [ "$candidate" != "$old" ] && is_complete "$candidate" && is_proven "$candidate" || continue
		relink "$HOME_DIR/previous" "releases/$candidate"
		return
	done
	rm -f "$HOME_DIR/previous"
}

stuck() {
	log "$old after the revert: $1"
	printf '%s\n' "$1" 2>/dev/null >"$STATE/stuck" || :
}

end_revert() {
	printf 'seconds=%s\n' "$(seconds $(($(uptime_cs) - begun)))" >"$RUN/reverted"
	fence
	mv -T "$STATE/reverting" "$STATE/reverted" && sync "$STATE"
	rm -f "$RUN/lease"
	unfence
	audit revert "$new" "$([ -e "$STATE/stuck" ] && printf stuck || printf done)" "$why"
}
