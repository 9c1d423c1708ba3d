# gate: a person's stop, and a person's go. Needs no lock: a hold must get in during a rollout too.
#
# Each is written into the audit log first, with sudo's user beside WHO, or it is not done.
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
		audit_first hold "" "done" "$3" "$2"
		put_back "$STATE/hold" "who=$2${NL}login=$login${NL}why=$3${NL}at=$wall_at" || undone hold "" "cannot write $STATE/hold" "$2"
		;;
	resume)
		audit_first resume "" "done" "$3" "$2"
		rm -f "$STATE/hold" && sync "$STATE" || undone resume "" "cannot remove $STATE/hold" "$2"
		;;
	approve)
		need_id release "${4:-}"
		need_ring "${5:-}"
		mkdir -p "$STATE/approved" || fault write "cannot write $STATE/approved"
		audit_first approve "$4" "done" "$3" "$2"
		name=$(printf %s "$5" | sha256sum)
		printf 'release=%s\nring=%s\nwho=%s\nlogin=%s\nwhy=%s\nat=%s\n' "$4" "$5" "$2" "$login" "$3" "$wall_at" |
			put "$STATE/approved/$4+${name%"${name#????????????}"}" || undone approve "$4" "cannot write $STATE/approved" "$2"
		;;
	*) fault usage "a gate is hold, resume or approve" ;;
	esac
	emit "{\"gate\": \"$1\"}"
}

undone() { # ACT RELEASE WHY WHO: what was written down as done could not be done
	audit "$1" "$2" failed "$3" "$4"
	fault write "$3"
}
