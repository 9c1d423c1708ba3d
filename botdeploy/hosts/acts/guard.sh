# guard: the one that acts. A service of its own under systemd: started by switch or revert,
# restarted by systemd when it dies, started at boot before the bot when something was left open.
#
#   guard run     switch what is armed, then wait: confirmed → end; lease over → go back
#   guard boot    what is unconfirmed at boot goes back before the bot's unit starts
#
# Each step looks before it acts, so a guard that begins again repeats nothing that is done. What it
# must remember for that (since when it counts, from where it reads the journal) is in RUN/switching.

act_guard() {
	case ${1:-} in run | boot) ;; *) fault usage "guard run, or guard boot" ;; esac
	command exec 8>>"$RUN/guard.lock" || fault state "cannot write $RUN"
	flock 8
	crumbs
	if [ "$1" = boot ]; then
		guard_boot
		return
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
	old=$(field "$STATE/pending" old)
	log "switch $BOT from ${old:-nothing} to $new (run $run)"
	begin_change "$run"
	unit_state
	running_release
	link_of current
	if [ "$linked" != "$new" ] || [ "$running" != "$new" ]; then
		[ -z "$old" ] || relink "$HOME_DIR/previous" "releases/$old" || { abandon "cannot write the link previous"; return; }
		replace_release "$new" pending || { abandon "$failed"; return; }
	fi
	if await_ready "$new"; then
		harden
		end_change
		printf 'run=%s\nnew=%s\nold=%s\ninvocation=%s\ncursor=%s\ndowntime_s=%s\nready_s=%s\nat_us=%s\n' \
			"$run" "$new" "$old" "$InvocationID" "$cursor" "$(seconds $((now_cs - begun)))" \
			"$(seconds $((now_cs - stopped)))" "$begun_us" >"$RUN/result.new.$$" &&
			mv -T "$RUN/result.new.$$" "$RUN/result"
		rm -f "$STATE/stuck"
		audit switch "$new" ready ""
		log "$new is ready"
	else
		[ -e "$STATE/pending" ] || return
		digest_of "$new"
		quarantine "$digest" "$not_ready"
		abandon "$not_ready"
	fi
}

abandon() {
	log "$new: $1"
	fence
	[ "$(field "$STATE/pending" run)" != "$run" ] || claim_revert host ready "$1"
	unfence
}

# begin_change RUN: set cursor, begun, begun_us, stopped and quiet_us; the same again after a death.
begin_change() {
	tick
	cursor='' begun=$now_cs begun_us='' stopped=$now_cs quiet_us=0 restarted=no
	if [ "$(field "$RUN/switching" run)" = "$1" ]; then
		get "$RUN/switching" cursor
		cursor=$got
		get "$RUN/switching" begun
		! is_number "$got" || begun=$got
		get "$RUN/switching" begun_us
		begun_us=$got
		get "$RUN/switching" stopped
		if is_number "$got"; then stopped=$got restarted=yes; fi
		get "$RUN/switching" quiet_us
		! is_number "$got" || quiet_us=$got
	else
		cursor=$(last_cursor)
		begun_us=$(date +%s%6N)
		tick
		begun=$now_cs
		printf 'run=%s\ncursor=%s\nbegun=%s\nbegun_us=%s\n' "$1" "$cursor" "$begun" "$begun_us" >"$RUN/switching"
	fi
}

end_change() {
	tick
	printf '%s=%s\n' "$InvocationID" "$new_release" >"$RUN/started"
}

# replace_release RELEASE MARK: the change itself: stop, prove dead, link, start. An empty name
# starts nothing. MARK must still stand when the links change: what was claimed goes another way.
# Sets failed when it can't.
replace_release() {
	failed=''
	# What a full or broken disk would refuse comes before the stop: a bot must not stay down for it.
	prepare_links "$1" || { failed="cannot write the links"; return 1; }
	systemctl reset-failed "$UNIT" 2>/dev/null
	stop_bot || { failed="the bot could not be stopped"; return 1; }
	tick
	stopped=$now_cs quiet_us=$InactiveEnterTimestampMonotonic restarted=yes
	printf 'stopped=%s\nquiet_us=%s\n' "$stopped" "$quiet_us" >>"$RUN/switching"
	fence
	[ -e "$STATE/$2" ] || { unfence; failed="it was called back"; return 1; }
	point_at "$1" || { unfence; failed="cannot move the links"; return 1; }
	unfence
	systemctl daemon-reload || { failed="systemd did not reload"; return 1; }
	[ -n "$1" ] || return 0
	systemctl start --no-block "$UNIT" 2>"$RUN/start.err" || { failed="systemd refused to start it: $(tail -n 1 "$RUN/start.err")"; return 1; }
}

# prepare_links RELEASE: the unit, its place in the boot, and current beside the one that holds.
prepare_links() {
	[ -n "$1" ] || return 0
	relink "$UNITS/$UNIT" "$HOME_DIR/current/.botdeploy/$UNIT" &&
		relink "$UNITS/multi-user.target.wants/$UNIT" "$UNITS/$UNIT" &&
		rm -f "$HOME_DIR/current.new.$$" && ln -s "releases/$1" "$HOME_DIR/current.new.$$"
}

# point_at RELEASE: current names it from here on; one rename takes code, unit and environment along.
# An empty name takes all of it away.
point_at() {
	if [ -n "$1" ]; then
		mv -T "$HOME_DIR/current.new.$$" "$HOME_DIR/current"
	else
		rm -f "$UNITS/multi-user.target.wants/$UNIT" "$UNITS/$UNIT" "$HOME_DIR/current"
	fi
}

# stop_bot: stop the unit and prove its control group empty. Never start anything after a failure.
stop_bot() {
	unit_state
	group=${ControlGroup:-/system.slice/$UNIT}
	case $ActiveState in
	inactive | failed) ;;
	*) timeout 960 systemctl stop "$UNIT" 2>/dev/null ;;
	esac
	is_dead "$group" && return 0
	systemctl kill -s KILL --kill-who=all "$UNIT" 2>/dev/null
	tries=0
	while [ "$tries" -lt 100 ]; do
		is_dead "$group" && return 0
		for pid in $(unit_pids "$group"); do kill -KILL "$pid" 2>/dev/null; done
		sleep 0.1
		tries=$((tries + 1))
	done
	return 1
}

is_dead() {
	unit_state
	case $ActiveState in inactive | failed) ;; *) return 1 ;; esac
	[ -z "$(unit_pids "$1")" ]
}

# --- is it ready? -------------------------------------------------------------------------------

# await_ready RELEASE: wait for the sign that the release names; sets not_ready on failure. Uses
# cursor and quiet_us. A bot that this run did not start has long given its sign: being active is
# then all that is asked.
await_ready() {
	new_release=$1
	spec=$RELEASES/$1/.botdeploy/ready
	kind=$(field "$spec" kind) wanted=$(field "$spec" value) limit=$(field "$spec" timeout)
	is_number "$limit" || limit=30
	[ "$restarted" = yes ] || [ "$kind" != pattern ] || kind=active
	not_ready='' sign=$RUN/sign reader='' writer=''
	rm -f "$sign"
	[ "$kind" != pattern ] || watch_journal
	tick
	from=$now_cs pid='' pid_since=$now_cs
	while :; do
		unit_state
		tick
		spent=$((now_cs - from))
		if is_broken; then break; fi
		if [ "$ActiveState" = active ] && is_ready; then
			end_watch
			return 0
		fi
		if [ "$spent" -ge $((limit * 100)) ]; then
			not_ready="not ready within $limit s (${kind:-active}${wanted:+: $wanted})"
			break
		fi
		# A controller may call it back meanwhile.
		if [ -e "$STATE/reverting" ] && [ "$(field "$STATE/reverting" new)" = "$1" ]; then
			not_ready="called back before it was ready"
			break
		fi
		if [ "$spent" -lt 100 ]; then sleep 0.02; elif [ "$spent" -lt 500 ]; then sleep 0.1; else sleep 0.25; fi
	done
	end_watch
	return 1
}

# watch_journal: read what the bot writes; a line that matches makes the file sign. Lines from before
# the old process was gone don't count (the stamp tells, it is the kernel's clock), nor do systemd's.
watch_journal() {
	rm -f "$RUN/lines"
	mkfifo -m 0600 "$RUN/lines"
	if [ -n "$cursor" ]; then set -- -m --cursor="$cursor"; else set -- -b; fi
	journalctl -q -u "$UNIT" --all --no-tail -f -o short-monotonic --no-hostname "$@" \
		</dev/null >"$RUN/lines" 2>/dev/null 8>&- &
	writer=$!
	match_lines <"$RUN/lines" 8>&- &
	reader=$!
}

match_lines() {
	while IFS= read -r line; do
		stamp=${line#\[}
		stamp=${stamp%%\]*}
		stamp=${stamp#"${stamp%%[! ]*}"}
		micros=${stamp%.*}${stamp#*.}
		is_number "${micros#"${micros%%[!0]*}"}" || continue
		[ "${micros#"${micros%%[!0]*}"}" -lt "$quiet_us" ] || break
	done
	{
		printf '%s\n' "${line:-}"
		cat
	} | sed -u -e '/^\[[^]]*\] systemd\[1\]: /d' -e 's/^\[[^]]*\] [^:]*: //' |
		{ grep -qE -m 1 -e "$wanted" && : >"$sign"; } # not after the pipe: that ends with its writer only
}

end_watch() {
	if [ -n "$writer" ]; then
		kill "$writer" "$reader" 2>/dev/null
		wait "$writer" "$reader" 2>/dev/null
	fi
	writer=''
	rm -f "$sign" "$RUN/lines"
}

is_broken() {
	case $ActiveState in
	failed) not_ready="the unit failed before it was ready ($Result, status $ExecMainStatus)" ;;
	inactive)
		# A start that is still queued looks like this as well; its job tells.
		case $Job in '' | 0) [ "$spent" -lt 10 ] || not_ready="the bot ended before it was ready (status $ExecMainStatus)" ;; esac
		;;
	esac
	[ "$NRestarts" -eq 0 ] || not_ready="the bot crashed before it was ready (status $ExecMainStatus)"
	[ -n "$not_ready" ]
}

is_ready() {
	case $kind in
	pattern) [ -e "$sign" ] ;;
	notify) return 0 ;;
	port) listens "$wanted" ;;
	http) answers "$wanted" ;;
	command)
		run_as
		(cd "$HOME_DIR/current" && timeout 10 runuser -u "$user" -- /bin/sh -c "$wanted") >/dev/null 2>&1 </dev/null 8>&- 9>&-
		;;
	*)
		if [ "$MainPID" != "$pid" ]; then pid=$MainPID pid_since=$now_cs; fi
		[ $((now_cs - pid_since)) -ge 200 ]
		;;
	esac
}

listens() { # is a TCP socket of this host listening on the port?
	is_number "$1" || return 1
	port=$(printf ':%04X' "$1")
	grep -qE "^ *[0-9]+: [0-9A-F]+$port [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

answers() { # does the URL answer with success? Only http: curl could read files as root.
	case $1 in http://* | https://*) ;; *) return 1 ;; esac
	if command -v curl >/dev/null; then
		curl -q -fsS --proto '=http,https' -o /dev/null -m 3 -- "$1" 2>/dev/null 8>&-
	else
		wget -q -O /dev/null -T 3 -- "$1" 2>/dev/null 8>&-
	fi
}

# --- keep, or go back ---------------------------------------------------------------------------

keep_lease() {
	while [ -e "$STATE/pending" ]; do
		lease_left
		if [ "$left" -eq 0 ]; then
			fence
			lease_left
			if [ -e "$STATE/pending" ] && [ "$left" -eq 0 ]; then
				claim_revert host lease "no controller confirmed the release in time"
			fi
			unfence
		else
			sleep 0.2
		fi
	done
}

go_to_old() {
	run=$(field "$STATE/reverting" run)
	old=$(field "$STATE/reverting" old)
	new=$(field "$STATE/reverting" new)
	read_claim
	log "return $BOT from $new to ${old:-nothing}: $why"
	begin_change "$run-back"
	unit_state
	running_release
	link_of current
	if [ "$linked" != "$old" ] || [ "$running" != "$old" ] || [ -z "$old" ]; then
		replace_release "$old" reverting || { stuck "$failed"; exit 3; }
	fi
	return_previous
	if [ -n "$old" ]; then
		if await_ready "$old"; then
			end_change
			rm -f "$STATE/stuck"
		else
			stuck "$not_ready"
		fi
	fi
	harden
	end_revert
}

# read_claim: who wanted it back and why, in by, cause and why; on a full disk it is in /run only.
read_claim() {
	by=$(field "$STATE/reverting" by) cause=$(field "$STATE/reverting" cause) why=$(field "$STATE/reverting" why)
	if [ -z "$by" ]; then
		by=$(field "$RUN/claim" by) cause=$(field "$RUN/claim" cause) why=$(field "$RUN/claim" why)
	fi
}

# return_previous: previous names the release before, where one is proven and does not run again.
return_previous() {
	get "$STATE/reverting" was_previous
	candidate=$got
	if [ "$candidate" = "$old" ] || ! is_target "$candidate"; then
		last_proven_but "$old" "$new"
		candidate=$target
	fi
	if [ -n "$candidate" ]; then
		relink "$HOME_DIR/previous" "releases/$candidate"
	else
		rm -f "$HOME_DIR/previous"
	fi
}

stuck() {
	log "${old:-nothing} after the revert: $1"
	printf '%s\n' "$1" 2>/dev/null >"$STATE/stuck" || :
}

end_revert() {
	tick
	printf 'run=%s\nseconds=%s\nby=%s\ncause=%s\nwhy=%s\n' "$run" "$(seconds $((now_cs - begun)))" \
		"$by" "$cause" "$why" >"$RUN/reverted"
	fence
	mv -T "$STATE/reverting" "$STATE/reverted" && sync "$STATE" || fault write "cannot rename $STATE/reverting"
	rm -f "$RUN/lease" "$RUN/switching" "$RUN/result"
	unfence
	who=$(field "$STATE/reverted" owner)
	[ "$by" = controller ] || who="this host"
	audit revert "$new" "$([ -e "$STATE/stuck" ] && printf stuck || printf "done")" "$why" "$who"
}

# guard_boot: before the bot's unit, so nothing may wait for it here. The links go back; that the old
# release then runs is proven by the guard proper, which systemd starts after it.
guard_boot() {
	fence
	[ ! -e "$STATE/pending" ] || claim_revert host boot "the host restarted before the release was confirmed"
	unfence
	if [ -e "$STATE/reverting" ]; then
		old=$(field "$STATE/reverting" old)
		begin_change "$(field "$STATE/reverting" run)-back"
		tick
		printf 'stopped=%s\nquiet_us=0\n' "$now_cs" >>"$RUN/switching"
		prepare_links "$old" && point_at "$old" || fault write "cannot write the links"
		harden
		systemctl daemon-reload
		start_guard --no-block -p After="$UNIT"
	else
		unit_state
		[ "$LoadState" = not-found ] && [ -e "$HOME_DIR/current/.botdeploy/$UNIT" ] || return 0
		systemctl daemon-reload
		systemctl start --no-block "$UNIT"
	fi
}
