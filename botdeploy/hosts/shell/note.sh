# note: write down what is nobody's act on this host, for whoever reads the history.
#
#   note WHO WHY
#
# Needs no lock: it is written when a command is over.

act_note() {
	[ $# -eq 2 ] || fault usage "a note is who and what"
	need_line who "$1"
	need_line note "$2"
	[ -n "$2" ] || fault usage "a note says something"
	[ -d "$STATE" ] || fault not-prepared "this host has no bot $BOT yet"
	audit_first note "" "done" "$2" "$1"
	emit '{"noted": true}'
}
