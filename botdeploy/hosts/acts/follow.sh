# follow: the bot's journal as journald's own JSON, from a position on, until the reader goes away.
#
#   follow CURSOR        from this entry on, the entry itself first: who resumes drops it when it
#                        is the one it has, and knows of a gap when it is not
#   follow since:SECONDS what the last SECONDS brought (at most 5000 entries), then on
#
# -m, not -b: a reboot in between must not hide what came before it. --all: without it, fields over
# 4096 bytes arrive as null.

FIELDS=MESSAGE,PRIORITY,_PID,MESSAGE_ID,INVOCATION_ID,_SYSTEMD_INVOCATION_ID,N_RESTARTS,EXIT_CODE,EXIT_STATUS,UNIT_RESULT,N_DROPPED,JOB_RESULT,JOB_TYPE,_LINE_BREAK,_TRANSPORT,CODE_FUNC

act_follow() {
	case ${1:-} in
	since:*)
		need_number seconds "${1#since:}"
		exec journalctl -q -m -u "$UNIT" --since="-${1#since:}s" -n 5000 -f -o json --all --output-fields="$FIELDS" </dev/null
		;;
	'') exec journalctl -q -m -u "$UNIT" --no-tail -f -o json --all --output-fields="$FIELDS" </dev/null ;;
	*)
		need_line cursor "$1"
		exec journalctl -q -m -u "$UNIT" --cursor="$1" --no-tail -f -o json --all --output-fields="$FIELDS" </dev/null
		;;
	esac
}

# lines N: the last N entries, once.
act_lines() {
	need_number count "${1:-}"
	journalctl -q -m -u "$UNIT" -n "$1" -o json --all --output-fields="$FIELDS" </dev/null
}

act_audit() {
	if [ -r "$STATE/audit.jsonl" ]; then
		tail -n 1000 "$STATE/audit.jsonl" | while IFS= read -r row; do emit "{\"audit\": $row}"; done
	fi
}

# manifest ID: the sums and the tree of a release, so that only what changed is sent.
act_manifest() {
	need_id release "${1:-}"
	is_complete "$1" || fault not-staged "release $1 is not on this host"
	gzip -c "$RELEASES/$1/.botdeploy/manifest" | base64 -w 0 | {
		printf '@@%s {"manifest": "' "$NONCE"
		cat
		printf '"}\n'
	}
}
