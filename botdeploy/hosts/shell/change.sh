# change: from the release that runs to another one: stop, prove dead, move the links, start.
# Used by the guard, forward and back. It writes the links, SWITCHING, STARTED and SWITCHES.
#
# Each step looks before it acts, so a guard that begins again repeats nothing that is done. What it must
# remember for that (since when it counts, from where it reads the journal) is in SWITCHING.

# begin_change RUN: set cursor, begun, begun_us, old_pids and stopped; the same again after a death. What
# is set here as begun holds only where nothing is to be stopped.
begin_change() {
	read_uptime
	change=$1 restarted=no
	if [ "$(field "$SWITCHING" run)" = "$1" ]; then
		load "$SWITCHING" cursor begun begun_us old_pids stopped
		is_number "$begun" || begun=$now_cs
		if is_number "$stopped"; then restarted=yes; else stopped=$now_cs; fi
	else
		cursor=$(last_cursor) begun=$now_cs begun_us='' old_pids='' stopped=$now_cs
		save_change
	fi
}

# save_change: what a guard that begins again must know. Replaced each time: a guard may begin again for
# days, as long as a disk is broken.
save_change() {
	dead_at=''
	[ "$restarted" = no ] || dead_at=$stopped
	put_run "$SWITCHING" "run=$change
cursor=$cursor
begun=$begun
begun_us=$begun_us
old_pids=$old_pids
stopped=$dead_at"
}

# save_stop GROUP: now the bot is told to stop. What was saved before of the time holds no more. Its
# processes are saved too: a line of theirs may reach the journal when they are long dead.
save_stop() {
	old_pids=$(unit_pids "$1" | tr '\n' ' ')
	read_clock
	begun_us=$wall_us
	read_uptime
	begun=$now_cs
	save_change
}

# replace_release RELEASE MARK: the change itself. An empty name starts nothing. MARK must still stand when
# the links change: what was claimed goes another way. Sets failed when it can't. Call after unit_state and
# running_release.
replace_release() {
	failed=''
	# What a full or broken disk would refuse comes before the stop: a bot must not stay down for it.
	prepare_links "$1" "$2" || { failed="cannot write the links"; return 1; }
	if [ -z "$succeeds" ]; then
		prepare_data "$1" || { failed=$not_mountable; return 1; }
	elif [ "$2" = pending ]; then
		claim_place "$1" || return 1
	fi
	needs_reload "$1"
	begin_switch_log
	systemctl reset-failed "$UNIT" 2>/dev/null
	group=${ControlGroup:-$GROUP}
	[ "$restarted" = yes ] || save_stop "$group"
	stop_bot "$group" || { failed="the bot could not be stopped"; return 1; }
	[ -z "$succeeds" ] || [ "$2" != pending ] || stop_predecessor || { failed="$their_unit could not be stopped"; return 1; }
	read_uptime
	stopped=$now_cs restarted=yes
	save_change
	pass_barrier "$2" || return 1
	fence
	[ -e "$STATE/$2" ] || { unfence; failed="the change was cancelled"; return 1; }
	[ "$2" = reverting ] || ! is_lapsed || { unfence; failed=$LAPSED; return 1; }
	[ -z "$succeeds" ] || [ "$2" != pending ] || take_place "$1" || { unfence; failed="cannot take the place of $their_unit"; return 1; }
	point_current_at "$1" || { unfence; failed="cannot move the links"; return 1; }
	[ -z "$succeeds" ] || [ "$2" = pending ] || give_back || { unfence; failed="cannot give its place back to $their_unit"; return 1; }
	log_switch "$1"
	unfence
	if [ "$reload" = yes ]; then reload_unit "$1" || { failed="systemd did not reload its units"; return 1; }; fi
	prepare_data "$1" || { failed=$not_mountable; return 1; }
	[ -z "$1" ] || start_bot || { failed="systemd did not start it: ${said##*"$NL"}"; return 1; }
}

# --- links ---------------------------------------------------------------------------------------

# prepare_links RELEASE MARK: the unit, its place in the boot, and a link in $spare that will become
# current. For a return that is previous itself: no disk is too full, also of inodes, for a rename.
prepare_links() {
	spare=''
	[ -w "$HOME_DIR" ] && [ -w "$UNITS" ] || return 1 # a rename needs no space, but a disk that can be written
	[ -n "$1" ] || return 0
	relink "$UNIT_LINK" "$UNIT_FILE" && relink "$WANTED/$UNIT" "$UNIT_LINK" || return 1
	link_of "$CURRENT"
	[ "$linked" != "$1" ] || return 0
	link_of "$PREVIOUS"
	if [ "$2" = reverting ] && [ "$linked" = "$1" ]; then
		spare=$PREVIOUS
	else
		spare=$CURRENT.new.$$
		rm -f "$spare" && ln -s "releases/$1" "$spare"
	fi
}

# point_current_at RELEASE: one rename takes code, unit and environment along. An empty name takes the bot
# away.
point_current_at() {
	if [ -n "$1" ]; then
		[ -z "$spare" ] || rename "$spare" "$CURRENT"
	else
		rm -f "$WANTED/$UNIT" "$UNIT_LINK" "$CURRENT"
	fi
}

# sync_links: make the links durable. After the start, not within the downtime: until then "pending" or
# "reverting" stands on the disk, and a power cut is mended from that at boot.
sync_links() { sync "$HOME_DIR" "$SWITCHES" "$UNITS" "$WANTED" 2>/dev/null || sync; }

# --- since when what ran -------------------------------------------------------------------------

# log_switch RELEASE: whoever reads the journal asks which release wrote what. What ran before counts until
# it was told to stop.
log_switch() {
	[ -n "$begun_us" ] || read_clock
	printf '%s %s\n' "${begun_us:-$wall_us}" "${1:--}" 2>/dev/null >>"$SWITCHES" || :
}

# begin_switch_log: of a host that an older botdeploy has switched it is known only what runs now, and since
# about when. Call after unit_state and running_release.
begin_switch_log() {
	[ ! -e "$SWITCHES" ] || return 0
	find_latest_mark
	[ -n "$latest" ] || return 0
	printf '0 -\n' 2>/dev/null >>"$SWITCHES" || return 0
	[ "$ActiveState" = active ] && [ -n "$running" ] || return 0
	read_uptime
	since_s=$(($(date +%s) - now_s + ActiveEnterTimestampMonotonic / 1000000 - 30))
	printf '%s000000 %s\n' "$since_s" "$running" 2>/dev/null >>"$SWITCHES" || :
}
