# gate: a person's stop, and a person's go. Needs no lock: a hold must get in during a rollout too.
#
#   gate hold WHO WHY
#   gate resume WHO WHY
#   gate approve WHO WHY RELEASE RING
#
# A lock's token may stand before these; it is not needed.

act_gate() {
	case ${1:-} in hold | resume | approve) ;; *) [ $# -eq 0 ] || shift ;; esac
	need_line who "${2:-}"
	need_line reason "${3:-}"
	[ -d "$STATE" ] || fault not-prepared "this host has no bot $BOT yet"
	case ${1:-} in
	hold)
		printf 'who=%s\nwhy=%s\nat=%s\n' "$2" "$3" "$(utc)" | put "$STATE/hold" || fault write "cannot write $STATE/hold"
		audit hold "" "done" "$3" "$2"
		;;
	resume)
		rm -f "$STATE/hold" && sync "$STATE" || fault write "cannot remove $STATE/hold"
		audit resume "" "done" "$3" "$2"
		;;
	approve)
		need_id release "${4:-}"
		need_ring "${5:-}"
		mkdir -p "$STATE/approved" || fault write "cannot write $STATE/approved"
		name=$(printf %s "$5" | sha256sum)
		printf 'release=%s\nring=%s\nwho=%s\nwhy=%s\nat=%s\n' "$4" "$5" "$2" "$3" "$(utc)" |
			put "$STATE/approved/$4+${name%"${name#????????????}"}" || fault write "cannot write $STATE/approved"
		audit approve "$4" "done" "$3" "$2"
		;;
	*) fault usage "a gate is hold, resume or approve" ;;
	esac
	emit "{\"gate\": \"$1\"}"
}
