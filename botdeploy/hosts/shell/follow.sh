# follow: the bot's journal as journald's own JSON, from a position on, until the reader goes away. It writes
# nothing.
#
#   follow POSITION      what stands from a position on, then on from its last entry, that entry itself
#                        first, as it comes
#   entries POSITION     what stands from a position on, once
#   lines N              the last N entries, once
#
# POSITION is since:SECONDS (since:SECONDS:SECONDS leaves the last ones out), or a cursor: from that entry
# on, the entry itself included. Who resumes drops it when it is the one it has, and knows of a gap when it
# is not.
#
# What stands comes newest first, and within bounds: a busy bot writes more in an hour than anybody can
# wait for. Behind it a record says how much it was, and whether older entries were left out, by size or
# by time:
#
#   {"read": {"entries": N, "bytes": N, "cut": true|false}}
#
# Before what "follow" reads back by time stands what the bot's last starts said, oldest first, however long
# ago they were: some of it may be among what comes behind it, too. A record ends it:
#
#   {"starts": N}
#
# With "hidden" behind the position, {"hidden": …} comes first (see tell_hidden); behind that may stand
# how many bytes at most.
#
# -m, not -b: a reboot in between must not hide what came before it. --all: without it, fields over
# 4096 bytes arrive as null.

READ_BYTES=16777216 # of what stands, in bytes of JSON
READ_S=5            # and in seconds, the network's included

STARTS=3         # of the bot, that are looked at,
START_S=60       # for so many seconds each,
START_BEGIN_S=10 # and some before systemd calls it started,
START_ENTRIES=500

FIELDS=@JOURNAL_FIELDS@ # botdeploy puts in what it reads

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
	need_journal
	need_bytes "${3:-}"
	# Where the past ends must be known: an old error that came late would look new.
	cursor=$(last_cursor)
	tell_hidden "${2:-}"
	if [ -n "$cursor" ] && [ -n "${1:-}" ]; then
		case $1 in since:*) tell_starts ;; esac
		read_back "$1" "$cursor"
	else
		emit '{"read": {"entries": 0, "bytes": 0, "cut": false}}'
	fi
	set -- --no-tail
	[ -z "$cursor" ] || set -- --cursor="$cursor" --no-tail
	exec journalctl --no-pager -q -m -u "$UNIT" -f -o json --all --output-fields="$FIELDS" "$@" </dev/null
}

# tell_starts: by the records that systemd itself wrote of them; each step may take a second.
tell_starts() {
	starts=$(timeout 1 journalctl --no-pager -q -m UNIT="$UNIT" _PID=1 MESSAGE_ID=39f53479d3a045ac8e11786248231fbf -n "$STARTS" -o short-unix </dev/null 2>/dev/null |
		sed -n 's/^\([0-9][0-9]*\)\..*/\1/p')
	for start in $starts; do
		timeout 1 journalctl --no-pager -q -m -u "$UNIT" -o json --all --output-fields="$FIELDS" --since="@$((start - START_BEGIN_S))" --until="@$((start + START_S))" </dev/null 2>/dev/null |
			head -n "$START_ENTRIES" | grep '^{.*}$'
	done
	emit "{\"starts\": $(printf %s "$starts" | grep -c .)}"
}

act_entries() {
	need_journal
	need_bytes "${3:-}"
	[ -n "${1:-}" ] || fault usage "a position is a cursor or since:SECONDS"
	tell_hidden "${2:-}"
	read_back "$1" ''
}

act_lines() {
	need_number count "${1:-}"
	need_journal
	need_bytes "${3:-}"
	tell_hidden "${2:-}"
	newest '' '' -n "$1"
}

need_journal() {
	can_read_journal || fault journal "this user may not read the journal; an administrator can allow it: usermod -aG systemd-journal USER"
}

need_bytes() { # [NUMBER]: how much may be read, in $most
	most=${1:-$READ_BYTES}
	need_number bytes "$most"
	[ "$most" -le "$READ_BYTES" ] || most=$READ_BYTES
}

# read_back POSITION LAST: from the entry LAST (or the newest) back to a position.
read_back() {
	case $1 in
	since:*:*)
		before=${1#since:} until=${1##*:}
		before=${before%%:*}
		need_number seconds "$before"
		need_number seconds "$until"
		newest "$2" '' --since="-${before}s" --until="-${until}s"
		;;
	since:*)
		need_number seconds "${1#since:}"
		newest "$2" '' --since="-${1#since:}s"
		;;
	*)
		need_line cursor "$1"
		newest "$2" "$1"
		;;
	esac
}

# newest LAST FIRST [OPTION ...]: entries, newest first, from the one with the cursor LAST back to the
# one with the cursor FIRST, or as far as the options and the bounds let it; then the record. An entry
# that would go beyond the bound, or was cut short by the time, is left out. Not by journalctl's own
# cursor: where that entry was rotated away it begins anywhere.
newest() {
	last=$1 first=$2
	shift 2
	{
		timeout "$READ_S" journalctl --no-pager -q -m -u "$UNIT" -r -o json --all --output-fields="$FIELDS" "$@" </dev/null
		printf '\n@%s\n' $?
	} | awk -v last="$last" -v first="$first" -v most="$most" -v mark="@@$NONCE" '
		BEGIN { is_on = last == "" }
		/^@[0-9]+$/ { if ($0 != "@0") is_cut = 1; next }
		substr($0, 1, 1) != "{" || substr($0, length($0)) != "}" { next }
		{ came++ }
		!is_on && index($0, "\"__CURSOR\":\"" last "\"") { is_on = 1 }
		!is_on { next }
		bytes + length($0) + 1 > most { is_cut = 1; exit }
		{ print; entries++; bytes += length($0) + 1 }
		first != "" && index($0, "\"__CURSOR\":\"" first "\"") { exit }
		END {
			if (!is_on && came) is_cut = 1
			printf "%s {\"read\": {\"entries\": %d, \"bytes\": %d, \"cut\": %s}}\n", mark, entries, bytes, is_cut ? "true" : "false"
		}'
}
