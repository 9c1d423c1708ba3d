# guard: the service that carries out what switch and revert have written down. systemd restarts it whatever
# ended it, and starts it at boot, before the bot, when something was left open; a path unit starts it for
# as long as a mark stands (our_units). A cut connection neither stops nor repeats it.
# Used by switch and revert. It writes all that change and lease write, RESULT, RETURNED and STUCK.
#
#   guard run     switch what is armed, then wait: confirmed → end; lease over → go back
#   guard boot    what is unconfirmed at boot goes back before the bot's unit starts
#
# The lease counts from the moment that the switch is armed: nothing here waits longer for a bot than
# a controller asks for it.

act_guard() {
	case ${1:-} in run | boot) ;; *) fault usage "guard run, or guard boot" ;; esac
	late=no
	if ! is_there; then
		if [ "$1" = boot ]; then start_guard --no-block && return; fi
		log "waiting for $HOME_DIR and $STATE${INSTANCE:+ and $TREES}"
		until is_there; do sleep 2; done
		late=yes
	fi
	command exec 8>>"$GUARD_LOCK" || fault state "cannot write $RUN_DIR"
	flock 8
	remove_stale_files
	if [ "$1" = boot ]; then
		guard_boot
		return
	fi
	await_mark
	while is_open; do
		# One look, for all that follows: meanwhile it may be confirmed, and the next one armed.
		get "$PENDING" run
		awaited=$got
		if [ -n "$awaited" ] && [ "$(field "$RESULT" run)" != "$awaited" ]; then
			is_lapsed || switch_release
		fi
		await_lease_end
		[ ! -e "$REVERTING" ] || return_release
		await_mark
	done
	is_announced || rm -f "$ANNOUNCED" # of an act that was killed
	if [ "$late" = yes ]; then
		systemctl start --no-block "$GUARD.path"
		start_unseen_bot
	fi
}

# is_there: are the places that every act needs? A disk may come after the boot.
is_there() { [ -d "$HOME_DIR" ] && [ -d "$STATE" ] && { [ -z "$INSTANCE" ] || [ -d "$TREES" ]; }; }

# guard_boot: before the bot's unit, so nothing may wait for it here. The links go back; that the old
# release then runs is proven by the guard proper, which systemd starts after it.
guard_boot() {
	fence
	[ ! -e "$PENDING" ] || claim_lapsed
	unfence
	read_group "$REVERTING"
	if [ -n "$in_group" ] && [ -e "$TOGETHER/$group_run.forming" ]; then
		start_unseen_bot # no member goes back before all have their mark
		start_guard --no-block
	elif [ -e "$REVERTING" ]; then
		load "$REVERTING" run old succeeds
		[ -n "$run" ] || fault state "cannot read $REVERTING"
		begin_change "$run-back"
		# Everything of this boot is the old release's; the entry at the cursor is of another.
		cursor='' stopped=$now_cs restarted=yes
		save_change
		prepare_links "$old" reverting && point_current_at "$old" || fault write "cannot write the links"
		[ -z "$succeeds" ] || give_back || fault write "cannot give its place back to $their_unit"
		log_switch "$old"
		sync_links
		reload_unit "$old"
		[ -z "$succeeds" ] || with_instance "$succeeds" start_bot
		start_guard --no-block
	else
		start_unseen_bot
	fi
}

# --- forward -------------------------------------------------------------------------------------

switch_release() {
	load "$PENDING" run new old succeeds
	[ "$run" = "$awaited" ] && [ -n "$new" ] || return 0
	log "switch $NAME from ${old:-nothing} to $new (run $run)"
	begin_change "$run"
	unit_state
	running_release
	link_of "$CURRENT"
	if [ "$linked" != "$new" ] || [ "$running" != "$new" ]; then
		await_members || return
		[ -z "$old" ] || relink "$PREVIOUS" "releases/$old" || { give_up_switch "cannot write the link previous"; return; }
		replace_release "$new" pending || { is_lapsed || give_up_switch "$failed"; return; }
	fi
	if await_ready "$new"; then
		note_started "$new"
		sync_links
		put_run "$RESULT" "run=$run
new=$new
old=$old
invocation=$InvocationID
cursor=$cursor
downtime_s=$(seconds $((ready - begun)))
at_us=$begun_us
unseen=$unseen
restarts=$NRestarts"
		rm -f "$STUCK"
		audit switch "$new" ready "$unseen" "$(field "$PENDING" owner)" "$(field "$PENDING" login)"
		log "$new is ready${unseen:+: $unseen}"
	else
		[ -e "$PENDING" ] && [ "$not_ready" != "$LAPSED" ] || return
		if [ "$blame" = ready ]; then
			digest_of "$new"
			quarantine "$digest" "$not_ready" || :
		fi
		give_up_switch "$not_ready" "$blame"
	fi
}

note_started() { put_run "$STARTED" "$InvocationID=$1"; } # RELEASE

give_up_switch() { # WHY [CAUSE]
	log "$new: $1"
	fence
	[ "$(field "$PENDING" run)" != "$run" ] || claim_revert host "${2:-ready}" "$1"
	unfence
}

# --- back ----------------------------------------------------------------------------------------

return_release() {
	finish_forming
	load "$REVERTING" run old new succeeds by cause why
	[ -n "$run" ] || fault state "cannot read $REVERTING" # never taken for a return to nothing
	# On a full disk it is in /run only.
	[ -n "$by" ] || [ "$(field "$CLAIM" run)" != "$run" ] || load "$CLAIM" by cause why
	log "return $NAME from $new to ${old:-nothing}: $why"
	begin_change "$run-back"
	unit_state
	running_release
	link_of "$CURRENT"
	if [ "$linked" = "$old" ] && is_start_due; then
		note_ended # at boot its start is queued already
	elif [ "$linked" != "$old" ] || [ "$running" != "$old" ] || [ -z "$old" ]; then
		replace_release "$old" reverting || { note_stuck "$failed"; exit 3; }
	else
		note_ended
	fi
	restore_previous
	unseen=''
	if [ -n "$old" ]; then
		if await_ready "$old"; then
			note_started "$old"
			rm -f "$STUCK"
			[ -z "$unseen" ] || log "$old: $unseen"
		else
			note_stuck "$not_ready"
		fi
	fi
	if [ -n "$succeeds" ]; then
		if start_predecessor; then rm -f "$STUCK"; else note_stuck "$not_ready"; fi
	fi
	sync_links
	end_return
}

# is_start_due: was the old process proven dead, and is the next one on its way? After unit_state.
is_start_due() {
	[ "$restarted" = yes ] || return 1
	case $Job in '' | 0) return 1 ;; esac
	case $ActiveState in inactive | activating) ;; *) return 1 ;; esac
}

# restore_previous: previous names the release before, where one is proven and does not run again.
restore_previous() {
	target=$(field "$REVERTING" was_previous)
	[ "$target" != "$old" ] && is_return_target "$target" || find_last_proven_except "$old" "$new"
	if [ -n "$target" ]; then
		relink "$PREVIOUS" "releases/$target"
	else
		rm -f "$PREVIOUS"
	fi
}

note_stuck() { # WHY
	log "${old:-nothing} after the return: $1"
	printf '%s\n' "$1" 2>/dev/null >"$STUCK" || :
}

end_return() {
	read_uptime
	put_run "$RETURNED" "run=$run
seconds=$(seconds $((now_cs - begun)))
by=$by
cause=$cause
why=$why
unseen=$unseen"
	fence
	mv -T "$REVERTING" "$REVERTED" && sync "$STATE" || fault write "cannot rename $REVERTING"
	rm -f "$LEASE" "$SWITCHING" "$RESULT"
	unfence
	read_group "$REVERTED"
	leave_group
	load "$REVERTED" owner login
	[ "$by" = controller ] || owner="this host" login="this host"
	who=$login
	audit revert "$new" "$([ -e "$STUCK" ] && printf stuck || printf "done")" "$why" "$owner" "$who"
}

# --- for the acts that need it -------------------------------------------------------------------

# start_guard [OPTION]: one at a time; its name is the lock. One that runs already will do.
start_guard() {
	case $PROGRAM in "$LIBRARY"/*) ;; *) fault usage "the guard needs the installed program" ;; esac
	said=$(systemctl start "$@" "$GUARD.service" 2>&1) || fault guard "cannot start the guard: ${said%%"$NL"*}"
}

# ensure_guard: start it where it is not there: somebody stopped it, or it died before the mark was written.
ensure_guard() {
	case $(systemctl is-active "$GUARD" 2>/dev/null) in
	active | activating | deactivating) ;;
	*) start_guard ;;
	esac
}

# await_return: until the guard has ended what is reverting. Fails after 16 minutes.
await_return() {
	[ -e "$REVERTING" ] || return 0
	read_uptime
	end=$((now_s + 960)) looked=$now_s
	ensure_guard
	while [ -e "$REVERTING" ]; do
		[ "$now_s" -lt "$end" ] || return 1
		if [ $((now_s - looked)) -ge 3 ]; then
			looked=$now_s
			ensure_guard
		fi
		sleep 0.05
		read_uptime
	done
}
