# retire: take an instance away from this machine, or the plain form. Repeatable. Its data stays where it is,
# and its audit log always. It removes all that prepare, stage and switch write for it.
#
#   retire WHO [delete-data]
#
# → {"retired": {"release": what ran, "data": the folder that is kept}}
#
# Refused while somebody has the lock or a change is open; from then on the fence is held to the end.

act_retire() {
	need_line who "${1:-}"
	case ${2:-} in '' | delete-data) ;; *) fault usage "the data is kept, or: delete-data" ;; esac
	fence
	lock_left
	[ "$left" -eq 0 ] || lock_lost
	! is_open || fault busy "a switch or a return is open on this host; nothing was changed"
	word_of "$SUCCESSOR"
	[ -z "$got" ] || ! with_instance "$got" is_open || fault busy "a switch of $(unit_called "$got"), which takes its place, is open on this host; nothing was changed"
	rm -f "$LOCK"
	link_of "$CURRENT"
	retired=$linked data=''
	if stands_here; then
		mkdir -p "$STATE" || fault state "cannot create $STATE"
		audit_first retire "$retired" "done" "$([ "${2:-}" = delete-data ] && printf 'its data is deleted' || printf 'its data is kept')" "$1"
		bury_predecessor
		retire_unit
		retire_files
	fi
	[ "${2:-}" != delete-data ] || delete_data
	[ ! -d "$SHARED" ] || data=$SHARED
	[ -z "$INSTANCE" ] || rmdir "$HOME_DIR" 2>/dev/null
	quote "$data"
	emit "{\"retired\": {\"release\": \"$retired\", \"data\": $json}}"
}

stands_here() { [ -d "$PROVEN" ] || [ -d "$RELEASES" ] || is_our_unit || [ -e "$UNITS/$GUARD.service" ]; }

# retire_unit: the process is proven dead before anything goes. A unit of somebody else stays as it is.
retire_unit() {
	unit_state
	if is_our_unit; then
		stop_bot "${ControlGroup:-$GROUP}" || fault busy "the bot could not be stopped; nothing was removed"
		rm -f "$WANTED/$UNIT" "$UNIT_LINK" || fault write "cannot remove $UNIT_LINK"
	fi
	systemctl stop "$GUARD.path" "$GUARD.service" "$BOOT_UNIT" 2>/dev/null
	rm -f "$WANTED/$GUARD.path" "$WANTED/$BOOT_UNIT" "$UNITS/$GUARD.path" "$UNITS/$GUARD.service" "$UNITS/$BOOT_UNIT" &&
		sync "$UNITS" "$WANTED" && systemctl daemon-reload || fault write "cannot remove the units in $UNITS"
	systemctl reset-failed "$UNIT" "$GUARD.service" 2>/dev/null
}

# retire_files: the releases in one rename, so that each is complete or absent; what says that the instance stands
# here goes last.
retire_files() {
	rm -f "$CURRENT" "$PREVIOUS" || fault write "cannot remove $CURRENT"
	rm -rf "$TRASH" "$PARTIALS"
	if [ -d "$RELEASES" ]; then
		mkdir -p "$TRASH" && chmod 0700 "$TRASH" || fault write "cannot write $HOME_DIR"
		mv -T "$RELEASES" "$TRASH/releases" 2>/dev/null || rm -rf "$RELEASES" || fault write "cannot remove $RELEASES"
		rm -rf "$TRASH"
	fi
	prune_trees
	rm -f "$CONFIRMED" "$REVERTED" "$STUCK" "$SWITCHES" "$ROLLOUT" "$RENDERED" "$HOLD" "$STATE/reserve" &&
		rm -rf "$QUARANTINE" "$EVIDENCE" "$APPROVED" "$TOOK" && rm -rf "$PROVEN" && forget_left && sync "$STATE" || fault write "cannot remove what is in $STATE"
	rm -f "$LEASE" "$ANNOUNCED" "$SWITCHING" "$RESULT" "$CLAIM" "$RETURNED" "$STARTED" "$LOADED" "$SIGN_READ" "$RELOAD_DUE" "$RUN_DIR/reserve"
}

delete_data() {
	[ -e "$SHARED" ] || return 0
	rm -rf --one-file-system "$SHARED" && sync "$HOME_DIR" || fault write "cannot delete all of $SHARED"
}
