# note: write a line into the audit log that is no act on this host. Needs no lock: a command that is over
# writes it.
#
#   note WHO WHY

act_note() {
	[ $# -eq 2 ] || fault usage "a note is who and what"
	need_line who "$1"
	need_line note "$2"
	[ -n "$2" ] || fault usage "a note says something"
	[ -d "$STATE" ] || fault not-prepared "there is no bot $NAME on this host yet"
	audit_first note "" "done" "$2" "$1"
	emit '{"noted": true}'
}
