# gate: what a person decides for an environment. Needs no lock: a hold must be possible during a rollout.
# It writes HOLD and APPROVED, after the audit log, where sudo's user stands beside WHO.
#
#   gate hold WHO WHY
#   gate resume WHO WHY
#   gate approve WHO WHY RELEASE RING

act_gate() {
	need_line who "${2:-}"
	need_line reason "${3:-}"
	[ -d "$STATE" ] || fault not-prepared "there is no bot $NAME on this host yet"
	case ${1:-} in
	hold)
		audit_first hold "" "done" "$3" "$2"
		put_from_reserve "$HOLD" "who=$2${NL}login=$login${NL}why=$3${NL}at=$wall_at" || fault_undone hold "" "cannot write $HOLD" "$2"
		;;
	resume)
		audit_first resume "" "done" "$3" "$2"
		rm -f "$HOLD" && sync "$STATE" || fault_undone resume "" "cannot remove $HOLD" "$2"
		;;
	approve)
		need_release release "${4:-}"
		need_ring "${5:-}"
		mkdir -p "$APPROVED" || fault write "cannot write $APPROVED"
		audit_first approve "$4" "done" "$3" "$2"
		name=$(printf %s "$5" | sha256sum)
		printf 'release=%s\nring=%s\nwho=%s\nlogin=%s\nwhy=%s\nat=%s\n' "$4" "$5" "$2" "$login" "$3" "$wall_at" |
			put "$APPROVED/$4+${name%"${name#????????????}"}" || fault_undone approve "$4" "cannot write $APPROVED" "$2"
		;;
	*) fault usage "a gate is hold, resume or approve" ;;
	esac
	emit "{\"gate\": \"$1\"}"
}

fault_undone() { # ACT RELEASE WHY WHO: what was written down as done could not be done
	audit "$1" "$2" failed "$3" "$4"
	fault write "$3"
}
