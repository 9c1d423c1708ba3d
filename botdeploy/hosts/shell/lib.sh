#!/bin/sh
# shellcheck disable=SC2015 # "a && b || fault …": fault ends the program, so it is if-then-else
# shellcheck disable=SC2329 # acts are called by their name, in main
# lib: what every act uses: records, checks of arguments, clocks, state files, what is known of a release,
# the audit log and the fence. It writes what its callers ask for.
#
# Called as   /usr/local/lib/botdeploy/DIGEST/BOT NONCE ACT[@INSTANCE] [ARGUMENT ...]
# The bot's name is this file's own name: sudo has matched that path, so a caller can't choose it.
# Every record is a line "@@NONCE {json}"; the last one carries "final" and the exit code:
# 0 done, 3 a fault (told in the record before), 4 somebody else has the lock. Never 1: that is sudo.
#
# Functions that answer by a variable name it in their comment; they save a fork, and a fork is
# what most of an act's time goes into.

set -uf
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
# No pager: one that a deployer could reach through sudo on a terminal would be root's shell.
export SYSTEMD_PAGER='' SYSTEMD_PAGERSECURE=1 PAGER=cat SYSTEMD_COLORS=0
unset IFS ENV BASH_ENV CDPATH
umask 022
# A limit that the caller has set must not end an act in its middle, nor keep it from being written down.
trap '' XFSZ
command ulimit -f unlimited 2>/dev/null || :
cd / || exit 70

# shellcheck disable=SC2034 # for those who look for it in the file
VERSION=@VERSION@
PROGRAM=$0
BOT=${0##*/}
NONCE=${1:--}
ACT=${2:-}
INSTANCE=''
case $ACT in *@*) INSTANCE=${ACT#*@} ACT=${ACT%%@*} ;; esac
TAB='	'
NL='
'

# --- records -----------------------------------------------------------------------------------

emit() { printf '@@%s %s\n' "$NONCE" "$1"; }

# quote TEXT: any text as a JSON string, in $json; control characters become spaces.
quote() {
	case $1 in
	*[!\ !#-[\]-~]*)
		json="\"$(printf %s "$1" | tr '\000-\037\177' ' ' | sed 's/[\\"]/\\&/g')\""
		;;
	*) json="\"$1\"" ;;
	esac
}

finish() {
	emit "{\"final\": true, \"rc\": $1}"
	exit "$1"
}

# fault CODE MESSAGE: say what could not be done, of which instance where it has a name, and end.
fault() {
	quote "$2"
	emit "{\"fault\": \"$1\", \"message\": $json, \"instance\": \"$INSTANCE\"}"
	finish 3
}

log() { printf '%s\n' "$1" >&2; }

# read_word SECONDS: the next line of standard input, in $word. Fails at the end of the input, and when
# nothing came in time: after a cut network an act must end, too.
read_word() {
	# Read by a shell, for that takes one byte at a time and leaves the next line where it is.
	# shellcheck disable=SC2016 # for the inner shell
	word=$(timeout --foreground "$1" sh -c 'IFS= read -r word && printf %s "$word"')
}

# --- checks: an argument that does not look right never reaches a path or a command -------------

is_name() { case $1 in '' | [!a-z]* | *[!a-z0-9_-]*) return 1 ;; esac && [ ${#1} -le 32 ]; }
is_instance() { case $1 in '' | [!a-z0-9]* | *[!a-z0-9_-]* | *[!a-z0-9]) return 1 ;; esac && [ ${#1} -le 32 ]; }
is_id() { case $1 in '' | [.-]* | *[!A-Za-z0-9._-]* | *..*) return 1 ;; esac && [ ${#1} -le 64 ]; }
# is_release ID: a release's, which may end in +N (N counts what was rendered of it here).
is_release() { case $1 in *+*) is_number "${1##*+}" && is_id "${1%+*}" ;; *) is_id "$1" ;; esac && [ ${#1} -le 64 ]; }
is_number() { case $1 in '' | *[!0-9]* | 0[0-9]*) return 1 ;; esac && [ ${#1} -le 15 ]; }
is_line() { case $1 in *"$NL"*) return 1 ;; esac && [ ${#1} -le 1000 ]; }

need_id() { is_id "$2" || fault usage "$1 is not an identifier"; }
need_release() { is_release "$2" || fault usage "$1 is not a release's id"; }
need_number() { is_number "$2" || fault usage "$1 is not a number"; }
need_line() { is_line "$2" || fault usage "$1 must be one line of at most 1000 characters"; }
need_ring() { is_line "$1" && [ -n "$1" ] && [ ${#1} -le 64 ] || fault usage "a ring's name has 1 to 64 characters"; }

is_name "$BOT" && [ "$BOT" != botdeploy ] || fault usage "this program must be installed under a bot's name"
[ -z "$INSTANCE" ] || is_instance "$INSTANCE" || {
	INSTANCE=''
	fault usage "the instance is not an instance's name"
}

# --- time: durations by the kernel's clock only, for a wall clock may jump ------------------------

# read_uptime: whole seconds since boot in $now_s, hundredths in $now_cs.
read_uptime() {
	read -r up _ </proc/uptime
	now_s=${up%.*}
	now_cs=$now_s${up#*.}
	now_cs=${now_cs#0}
}
# read_clock: the wall clock, in $wall_s, $wall_us and as text in $wall_at. Not by %6N, which not every date knows.
read_clock() {
	wall_at=$(date -u '+%s %Y-%m-%dT%H:%M:%S.%N')
	wall_s=${wall_at%% *} wall_at=${wall_at#* }
	case ${wall_at#*.} in
	[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) wall_at=${wall_at%???} ;;
	*) wall_at=${wall_at%%.*}.000000 ;;
	esac
	wall_us=$wall_s${wall_at#*.} wall_at=${wall_at}Z
}
utc() {
	read_clock
	printf %s "$wall_at"
}
seconds() { printf '%d.%02d' $(($1 / 100)) $(($1 % 100)); }

# --- state files: "key=value" lines, one value a line ------------------------------------------

# get FILE KEY: the last value of the key, or nothing, in $got.
get() {
	got=''
	[ -r "$1" ] || return 0
	while IFS= read -r row || [ -n "$row" ]; do
		case $row in "$2="*) got=${row#*=} ;; esac
	done <"$1"
}

field() {
	get "$1" "$2"
	printf %s "$got"
}

# load FILE KEY ...: the last value of each key, or nothing, in a variable of the key's name.
load() {
	loaded_file=$1
	shift
	for loaded_key in "$@"; do
		get "$loaded_file" "$loaded_key"
		eval "$loaded_key=\$got"
	done
}

# word_of FILE: the first line of a file, or nothing, in $got.
word_of() {
	got=''
	[ ! -r "$1" ] || IFS= read -r got <"$1" || :
}

# put FILE: replace a file whole by standard input: temp name, sync, rename, sync of the folder.
put() {
	if cat >"$1.new.$$" 2>/dev/null && sync "$1.new.$$" && mv -T "$1.new.$$" "$1" && sync "${1%/*}"; then
		return 0
	fi
	rm -f "$1.new.$$"
	return 1
}

# keep_reserve FOLDER: hold a little space for what must be written when somebody has filled the disk.
keep_reserve() {
	[ -e "$1/reserve" ] && return 0
	head -c 65536 /dev/zero >"$1/reserve" 2>/dev/null && [ "$(stat -c %s "$1/reserve")" = 65536 ] || rm -f "$1/reserve"
}

# put_run FILE TEXT: replace a file in RUN_DIR whole. Where /run is full, from the reserve there: the lock
# can be taken and a lease renewed nevertheless.
put_run() {
	fill_run "$1" "$2" || { rm -f "$RUN_DIR/reserve" && fill_run "$1" "$2"; }
}

fill_run() {
	{ printf '%s\n' "$2" >"$1.new.$$"; } 2>/dev/null && mv -T "$1.new.$$" "$1" && return 0
	rm -f "$1.new.$$"
	return 1
}

# put_from_reserve FILE TEXT: put what a return, or a stop, needs; on a full disk from the reserve.
put_from_reserve() {
	put "$1" <<-EOF && return 0
		$2
	EOF
	rm -f "$STATE/reserve"
	sync "$STATE"
	put "$1" <<-EOF
		$2
	EOF
}

# rename FROM TO: one rename, also where TO is a link to a folder. For that the mv of uutils says "Not a
# directory"; systemd's own tool replaces a link as atomically.
rename() {
	mv -T "$1" "$2" 2>/dev/null && return 0
	[ -L "$1" ] && [ -L "$2" ] && [ -w "${2%/*}" ] || return 1
	aim=$(readlink "$1")
	printf 'L+ %s - - - - %s\n' "$2" "$aim" | systemd-tmpfiles --create - >/dev/null 2>&1
	[ "$(readlink "$2")" = "$aim" ] && rm -f "$1"
}

# relink LINK TARGET: point a link elsewhere by one rename. Not yet durable: see sync_links.
relink() {
	[ "$(readlink "$1" 2>/dev/null)" = "$2" ] && return 0
	ln -s "$2" "$1.new.$$" && rename "$1.new.$$" "$1" && return 0
	rm -f "$1.new.$$"
	return 1
}

# link_of LINK: the release that it names, or nothing, in $linked.
link_of() {
	linked=$(readlink "$1" 2>/dev/null) || linked=''
	linked=${linked##*/}
}

# --- what is known of a release ------------------------------------------------------------------

is_complete() {
	[ -n "$1" ] && [ -f "$RELEASES/$1/.botdeploy/digest" ] && { [ -z "$INSTANCE" ] || [ -d "$RELEASES/$1/tree/" ]; }
}
# digest_of RELEASE: the digest of what it holds, in $digest.
digest_of() {
	digest=''
	[ ! -r "$RELEASES/$1/.botdeploy/digest" ] || read -r digest _ <"$RELEASES/$1/.botdeploy/digest" || :
	is_id "$digest" || digest=''
}

is_quarantined() {
	digest_of "$1"
	[ -n "$digest" ] && [ -e "$QUARANTINE/$digest" ]
}

# is_proven RELEASE: did it pass here, and was it not refused since? The mark alone does not tell: it
# stays where a release fails after its pass.
is_proven() { [ -n "$1" ] && [ -e "$PROVEN/$1" ] && ! is_quarantined "$1"; }

# is_return_target RELEASE: may it be returned to?
is_return_target() { is_complete "$1" && is_proven "$1"; }

# find_last_proven_except A B: the last release but these two that may be returned to, in $target.
find_last_proven_except() {
	target='' order=0
	set +f
	for mark in "$PROVEN"/*; do
		mark=${mark##*/}
		is_release "$mark" && [ "$mark" != "$1" ] && [ "$mark" != "$2" ] && is_return_target "$mark" || continue
		read_order "$mark"
		if [ "$got" -ge "$order" ]; then target=$mark order=$got; fi
	done
	set -f
}

# read_order RELEASE: how many were proven here before it, and itself, in $got.
read_order() {
	word_of "$PROVEN/$1"
	is_number "$got" || got=0
}

# quarantine DIGEST WHY [ERROR ...]: refuse a release. Below the reason stand the errors that its verdict
# named, a JSON object each; what an earlier verdict named stays where this one names none.
quarantine() {
	is_id "$1" || return 0
	bad_digest=$1 bad_why=$2
	shift 2
	{
		printf '%s\n' "$bad_why"
		if [ $# -gt 0 ]; then printf '%s\n' "$@"; else sed 1d "$QUARANTINE/$bad_digest" 2>/dev/null; fi
	} | put "$QUARANTINE/$bad_digest"
}

# --- the audit log -------------------------------------------------------------------------------

# login: whose login this act runs under, as sudo knows it, in $login. What a caller says of itself
# stands beside it, never in its place.
login() {
	login=${SUDO_USER:-root}
	is_line "$login" || login="uid ${SUDO_UID:-unknown}"
}

# audit ACT RELEASE OUTCOME WHY [CLAIMED [LOGIN]]: one line for who did what when and why it ended so.
# It ends with a mark that no text can hold, so that a line cut short by a full disk is told from a whole
# one. Fails where it can't be written: what a person does is written down first, or not done.
audit() {
	if [ $# -gt 4 ]; then got=$5; else get "$LOCK" owner; fi
	quote "$got"
	claimed_json=$json
	login
	quote "${6:-$login}"
	who_json=$json
	quote "$4"
	get "$ROLLOUT" id
	is_id "$got" || got=''
	read_clock
	{ printf '\n{"at": "%s", "act": "%s", "release": "%s", "outcome": "%s", "who": %s, "claimed": %s, "why": %s, "rollout": "%s", "v": 1}\n' \
		"$wall_at" "$1" "$2" "$3" "$who_json" "$claimed_json" "$json" "$got" >>"$AUDIT"; } 2>/dev/null
}

# audit_first …: as audit, or the end of the act.
audit_first() {
	audit "$@" || { rm -f "$STATE/reserve" && audit "$@"; } ||
		fault write "cannot write $AUDIT, where each change is written down first; nothing was changed"
}

# remove_stale_files: temporary files whose writer is gone.
remove_stale_files() {
	set +f
	for stale in "$HOME_DIR"/*.new.* "$STATE"/*.new.* "$STATE"/*/*.new.* "$TOGETHER"/*.new.* "$RUN_DIR"/*.new.* "$UNITS"/*"$BOT"*.new.* \
		"$WANTED"/*"$BOT"*.new.*; do
		[ -e "$stale" ] || [ -L "$stale" ] || continue
		[ -d "/proc/${stale##*.}" ] || rm -f "$stale"
	done
	set -f
}

# space_of FOLDER: set total_bytes, free_bytes, total_inodes, free_inodes.
space_of() {
	total_bytes=0 free_bytes=0 total_inodes=0 free_inodes=0
	read -r block total free total_inodes free_inodes <<-EOF
		$(stat -f -c '%S %b %a %c %d' "$1" 2>/dev/null)
	EOF
	is_number "$block" && is_number "$total" && is_number "$free" || return 1
	total_bytes=$((block * total)) free_bytes=$((block * free))
	is_number "$total_inodes" && is_number "$free_inodes" || total_inodes=0 free_inodes=0
}

# --- the fence: whoever changes what is pending, or the lock, holds this -------------------------

fence() {
	command exec 9>>"$FENCE" || fault state "cannot write $RUN_DIR"
	flock -w 120 9 || fault busy "another act holds $FENCE"
}
unfence() { exec 9>&-; }
