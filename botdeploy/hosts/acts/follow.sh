# follow: the bot's journal as journald's own JSON, from a position on, until the reader goes away.
#
#   follow CURSOR        from this entry on, the entry itself first: who resumes drops it when it
#                        is the one it has, and knows of a gap when it is not
#   follow since:SECONDS what the last SECONDS brought (at most 5000 entries), then a record
#                        {"caught_up": true}, then on from the last entry, that entry itself first
#   lines N              the last N entries, once
#   entries POSITION     what stands from a position on, once
#
# With "hidden" behind that, {"hidden": …} comes first: see tell_hidden.
#
# -m, not -b: a reboot in between must not hide what came before it. --all: without it, fields over
# 4096 bytes arrive as null.

FIELDS=MESSAGE,PRIORITY,_PID,MESSAGE_ID,INVOCATION_ID,_SYSTEMD_INVOCATION_ID,N_RESTARTS,EXIT_CODE,EXIT_STATUS,UNIT_RESULT,N_DROPPED,JOB_RESULT,JOB_TYPE,_LINE_BREAK,_TRANSPORT,CODE_FUNC

# tell_hidden: what the lines must not show where they are read: the secrets of the releases here, old
# ones too, packed, for a reader with root's rights, who may "fetch" them as well. A controller can't
# know them all: a token was rotated, or a cron job promotes that has none of them.
tell_hidden() {
	[ "$1" = hidden ] && [ "$(id -u)" -eq 0 ] || return 0
	set --
	set +f
	for file in "$RELEASES"/*/.botdeploy/shown "$RELEASES"/*/.botdeploy/environment "$RELEASES"/*/.botdeploy/credentials/*; do
		[ ! -f "$file" ] || set -- "$@" "$file"
	done
	set -f
	[ $# -gt 0 ] || return 0
	printf '@@%s {"hidden": "' "$NONCE"
	printf '%s\0' "$@" | tar -c -f - -P --no-recursion --null -T - 2>/dev/null | gzip -1 | base64 -w 0
	printf '"}\n'
}

act_follow() {
	can_read_journal || fault journal "this user may not read the journal; an administrator mends it: usermod -aG systemd-journal USER"
	tell_hidden "${2:-}"
	case ${1:-} in
	since:*)
		need_number seconds "${1#since:}"
		# Where the past ends must be known: an old error that came late would look new.
		cursor=$(last_cursor)
		if [ -n "$cursor" ]; then
			journalctl -q -m -u "$UNIT" --since="-${1#since:}s" -n 5000 -o json --all \
				--output-fields="$FIELDS" </dev/null | past_of "$cursor"
			set -- --cursor="$cursor" --no-tail
		else
			set -- --no-tail
		fi
		emit '{"caught_up": true}'
		;;
	'') set -- --no-tail ;;
	*)
		need_line cursor "$1"
		set -- --cursor="$1" --no-tail
		;;
	esac
	exec journalctl --no-pager -q -m -u "$UNIT" -f -o json --all --output-fields="$FIELDS" "$@" </dev/null
}

# past_of CURSOR: the entries up to this one; what came meanwhile is read again from there.
past_of() {
	awk -v last="$1" '{print} index($0, "\"__CURSOR\":\"" last "\"") {exit}'
}

act_lines() {
	need_number count "${1:-}"
	can_read_journal || fault journal "this user may not read the journal; an administrator mends it: usermod -aG systemd-journal USER"
	tell_hidden "${2:-}"
	journalctl --no-pager -q -m -u "$UNIT" -n "$1" -o json --all --output-fields="$FIELDS" </dev/null
}

act_entries() {
	can_read_journal || fault journal "this user may not read the journal; an administrator mends it: usermod -aG systemd-journal USER"
	tell_hidden "${2:-}"
	case ${1:-} in
	since:*)
		need_number seconds "${1#since:}"
		set -- --since="-${1#since:}s"
		;;
	*)
		[ -n "${1:-}" ] || fault usage "a position is a cursor or since:SECONDS"
		need_line cursor "$1"
		set -- --cursor="$1"
		;;
	esac
	journalctl --no-pager -q -m -u "$UNIT" -o json --all --output-fields="$FIELDS" "$@" </dev/null
}
