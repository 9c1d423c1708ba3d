#!/bin/sh
# shellcheck disable=SC2015 # "a && b || fault …": fault ends the program, so it is if-then-else
# shellcheck disable=SC2329 # acts are called by their name, in main
# The ground that every act on a host stands on: names, places, records, state files and the fence.
#
# Called as   /usr/local/lib/botdeploy/DIGEST/BOT NONCE ACT [ARGUMENT ...]
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

PROGRAM=$0
BOT=${0##*/}
NONCE=${1:--}
ACT=${2:-}
UNIT=$BOT.service
HOME_DIR=/opt/$BOT              # releases, current, previous, shared
RELEASES=$HOME_DIR/releases
PARTIALS=$HOME_DIR/.partial     # what is being staged; same file system, so one rename completes it
STATE=/var/lib/botdeploy/$BOT   # durable: pending, confirmed, reverted, proven, quarantine, audit
RUN=/run/botdeploy/$BOT         # gone at reboot: lock, lease, results
UNITS=/etc/systemd/system
LIBRARY=/usr/local/lib/botdeploy
SUDOERS=/etc/sudoers.d/botdeploy-$BOT
GUARD=botdeploy-guard-$BOT
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

quoted() {
	quote "$1"
	printf %s "$json"
}

finish() {
	emit "{\"final\": true, \"rc\": $1}"
	exit "$1"
}

# fault CODE MESSAGE: say what could not be done, and end.
fault() {
	quote "$2"
	emit "{\"fault\": \"$1\", \"message\": $json}"
	finish 3
}

log() { printf '%s\n' "$1" >&2; }

# hear SECONDS: the next line of standard input, in $word. Fails at its end, and when nothing came in
# time: after a cut network nobody tells an act that it is alone, and none may stay on a host for that.
hear() {
	# Read by a shell, for that takes one byte at a time and leaves the next line where it is.
	# shellcheck disable=SC2016 # for the inner shell
	word=$(timeout --foreground "$1" sh -c 'IFS= read -r word && printf %s "$word"')
}

# --- checks: an argument that does not look right never reaches a path or a command -------------

is_name() { case $1 in '' | [!a-z]* | *[!a-z0-9_-]*) return 1 ;; esac && [ ${#1} -le 32 ]; }
is_id() { case $1 in '' | [.-]* | *[!A-Za-z0-9._-]* | *..*) return 1 ;; esac && [ ${#1} -le 64 ]; }
is_number() { case $1 in '' | *[!0-9]* | 0[0-9]*) return 1 ;; esac && [ ${#1} -le 15 ]; }
is_line() { case $1 in *"$NL"*) return 1 ;; esac && [ ${#1} -le 1000 ]; }

need_id() { is_id "$2" || fault usage "$1 is not an identifier"; }
need_number() { is_number "$2" || fault usage "$1 is not a number"; }
need_line() { is_line "$2" || fault usage "$1 must be one line of at most 1000 characters"; }
need_ring() { is_line "$1" && [ -n "$1" ] && [ ${#1} -le 64 ] || fault usage "a ring's name is 1 to 64 characters"; }

is_name "$BOT" && [ "$BOT" != botdeploy ] || fault usage "this program must be installed under a bot's name"

# --- time: the kernel's clock since boot only; a wall clock may jump -----------------------------

# tick: whole seconds since boot in $now_s, hundredths in $now_cs.
tick() {
	read -r up _ </proc/uptime
	now_s=${up%.*}
	now_cs=$now_s${up#*.}
	now_cs=${now_cs#0}
}
# wall: the wall clock, in $wall_s, $wall_us and as text in $wall_at. Not by %6N, which not every date knows.
wall() {
	wall_at=$(date -u '+%s %Y-%m-%dT%H:%M:%S.%N')
	wall_s=${wall_at%% *} wall_at=${wall_at#* }
	case ${wall_at#*.} in
	[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) wall_at=${wall_at%???} ;;
	*) wall_at=${wall_at%%.*}.000000 ;;
	esac
	wall_us=$wall_s${wall_at#*.} wall_at=${wall_at}Z
}
utc() {
	wall
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

# put FILE: replace a file whole by standard input: temp name, sync, rename, sync of the folder.
put() {
	if cat >"$1.new.$$" 2>/dev/null && sync "$1.new.$$" && mv -T "$1.new.$$" "$1" && sync "${1%/*}"; then
		return 0
	fi
	rm -f "$1.new.$$"
	return 1
}

# put_run NAME TEXT: replace a file in RUN whole. Where /run is full, by the space that prepare_run has
# put aside: whatever filled it, the lock can be taken and a lease renewed.
put_run() {
	fill_run "$1" "$2" || { rm -f "$RUN/reserve" && fill_run "$1" "$2"; }
}

fill_run() {
	{ printf '%s\n' "$2" >"$RUN/$1.new.$$"; } 2>/dev/null && mv -T "$RUN/$1.new.$$" "$RUN/$1" && return 0
	rm -f "$RUN/$1.new.$$"
	return 1
}

# put_back FILE TEXT: put for what a way back, or a stop, needs: on a full disk by the space put aside.
put_back() {
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

# relink LINK TARGET: point a link elsewhere by one rename. Not yet durable: see harden.
relink() {
	[ "$(readlink "$1" 2>/dev/null)" = "$2" ] && return 0
	ln -s "$2" "$1.new.$$" && rename "$1.new.$$" "$1" && return 0
	rm -f "$1.new.$$"
	return 1
}

# harden: make the links durable. After the start, not within the downtime: until then "pending" or
# "reverting" stands on the disk, and a power cut is mended from that at boot.
harden() { sync "$HOME_DIR" "$STATE/switches" "$UNITS" "$UNITS/multi-user.target.wants" 2>/dev/null || sync; }

# link_of NAME: the release that the link names, or nothing, in $linked.
link_of() {
	linked=$(readlink "$HOME_DIR/$1" 2>/dev/null) || linked=''
	linked=${linked##*/}
}

is_complete() { [ -n "$1" ] && [ -f "$RELEASES/$1/.botdeploy/digest" ]; }
# digest_of RELEASE: the digest of what it holds, in $digest.
digest_of() {
	digest=''
	[ ! -r "$RELEASES/$1/.botdeploy/digest" ] || read -r digest _ <"$RELEASES/$1/.botdeploy/digest" || :
	is_id "$digest" || digest=''
}

is_quarantined() {
	digest_of "$1"
	[ -n "$digest" ] && [ -e "$STATE/quarantine/$digest" ]
}

# is_proven RELEASE: did it pass here, and was it not refused since? The mark alone does not tell: it
# stays where a release fails after its pass.
is_proven() { [ -n "$1" ] && [ -e "$STATE/proven/$1" ] && ! is_quarantined "$1"; }

# A release that may be returned to.
is_target() { is_complete "$1" && is_proven "$1"; }

# quarantine DIGEST WHY [ERROR ...]: refuse a release. Below the reason stand the errors that its verdict
# named, a JSON object each; what an earlier verdict named stays where this one names none.
quarantine() {
	is_id "$1" || return 0
	bad_digest=$1 bad_why=$2
	shift 2
	{
		printf '%s\n' "$bad_why"
		if [ $# -gt 0 ]; then printf '%s\n' "$@"; else sed 1d "$STATE/quarantine/$bad_digest" 2>/dev/null; fi
	} | put "$STATE/quarantine/$bad_digest"
}

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
	if [ $# -gt 4 ]; then got=$5; else get "$RUN/lock" owner; fi
	quote "$got"
	claimed_json=$json
	login
	quote "${6:-$login}"
	who_json=$json
	quote "$4"
	get "$STATE/rollout" id
	is_id "$got" || got=''
	wall
	{ printf '\n{"at": "%s", "act": "%s", "release": "%s", "outcome": "%s", "who": %s, "claimed": %s, "why": %s, "rollout": "%s", "v": 1}\n' \
		"$wall_at" "$1" "$2" "$3" "$who_json" "$claimed_json" "$json" "$got" >>"$STATE/audit.jsonl"; } 2>/dev/null
}

# audit_first …: as audit, or the end of the act.
audit_first() {
	audit "$@" || { rm -f "$STATE/reserve" && audit "$@"; } ||
		fault write "cannot write $STATE/audit.jsonl, and nothing is done that is not written down there; nothing was changed"
}

# crumbs: temporary files whose writer is gone.
crumbs() {
	set +f
	for crumb in "$HOME_DIR"/*.new.* "$STATE"/*.new.* "$STATE"/*/*.new.* "$RUN"/*.new.* "$UNITS"/*"$BOT"*.new.* \
		"$UNITS"/multi-user.target.wants/*"$BOT"*.new.*; do
		[ -e "$crumb" ] || [ -L "$crumb" ] || continue
		[ -d "/proc/${crumb##*.}" ] || rm -f "$crumb"
	done
	set -f
}

# --- the fence: whoever changes what is pending, or the lock, holds this -------------------------

fence() {
	command exec 9>>"$RUN/fence" || fault state "cannot write $RUN"
	flock -w 120 9 || fault busy "another act holds $RUN/fence"
}
unfence() { exec 9>&-; }

# --- the bot's unit ----------------------------------------------------------------------------

# unit_state: set ActiveState, SubState, NRestarts, MainPID, Result, InvocationID, ControlGroup …
# "unknown" means that systemd did not answer; a unit that does not exist is "inactive".
unit_state() {
	ActiveState=unknown SubState=unknown NRestarts=0 MainPID=0 Result='' InvocationID='' Job=''
	ControlGroup='' NeedDaemonReload='' ActiveEnterTimestampMonotonic=0 InactiveEnterTimestampMonotonic=0
	ExecMainStatus=0 LoadState='' Restart=''
	while IFS='=' read -r property setting; do
		case $property in
		ActiveState | SubState | NRestarts | MainPID | Result | InvocationID | ControlGroup | Job | \
			ActiveEnterTimestampMonotonic | InactiveEnterTimestampMonotonic | ExecMainStatus | \
			LoadState | NeedDaemonReload | Restart)
			eval "$property=\$setting"
			;;
		esac
	done <<-EOF
		$(systemctl show "$UNIT" -p ActiveState,SubState,NRestarts,MainPID,Result,InvocationID,Job \
		-p ControlGroup,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic,ExecMainStatus \
		-p LoadState,NeedDaemonReload,Restart 2>/dev/null)
	EOF
	is_number "$NRestarts" || NRestarts=0
	is_number "$MainPID" || MainPID=0
	is_number "$ExecMainStatus" || ExecMainStatus=0
	is_number "$ActiveEnterTimestampMonotonic" || ActiveEnterTimestampMonotonic=0
	is_number "$InactiveEnterTimestampMonotonic" || InactiveEnterTimestampMonotonic=0
}

# running_release: the release of the process that runs, not of the link, in $running; call after
# unit_state. What the kernel keeps of its environment, where it works, or what it has mapped.
running_release() {
	running=''
	[ "$MainPID" -gt 0 ] || return 0
	running=$(sed -zn 's/^BOTDEPLOY_RELEASE=//p' "/proc/$MainPID/environ" 2>/dev/null | tr -d '\000')
	is_id "$running" && return 0
	get "$RUN/started" "$InvocationID"
	running=$got
	is_id "$running" && return 0
	running=$(readlink "/proc/$MainPID/cwd" 2>/dev/null)
	case $running in
	"$RELEASES"/*) ;;
	*) running=$(sed -n "s|^.* \($RELEASES/[^/]*\)/.*|\1/|p" "/proc/$MainPID/maps" 2>/dev/null | head -n 1) ;;
	esac
	running=${running#"$RELEASES"/} running=${running%%/*}
	is_id "$running" || running=''
}

# unit_pids GROUP: every process in the unit's control group, children and grandchildren too.
unit_pids() {
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ -d "$root$1" ] || continue
		find "$root$1" -name cgroup.procs -exec cat {} + 2>/dev/null
		return 0
	done
}

# runs RELEASE: is the unit active, with a living main process of this release (or of one that nobody
# can tell)? Sets what unit_state and running_release set.
runs() {
	unit_state
	running_release
	case $ActiveState in active | reloading | refreshing) ;; *) return 1 ;; esac
	[ "$MainPID" -gt 0 ] && { [ -z "$running" ] || [ "$running" = "$1" ]; }
}

# who_ended: of a unit that is down, who ended its last life, in $ended_by: "person" where systemd
# was asked to stop it, "itself", or nothing where the journal does not tell. Call after unit_state.
who_ended() {
	ended_by=''
	case $ActiveState in inactive | failed) ;; *) return 0 ;; esac
	[ -L "$HOME_DIR/current" ] || return 0
	tries=0
	while [ "$tries" -lt 10 ]; do # its last lines may be on their way
		ended_by=$(journalctl -q -m -u "$UNIT" _PID=1 -n 40 -o json --output-fields=MESSAGE_ID </dev/null 2>/dev/null |
			awk '/39f53479d3a045ac8e11786248231fbf|7d4958e842da4a758f6c1cdc7b36dcc5/ { by = "" }
				/de5b426a63be47a7b6ac3eaac82e2f6f/ { by = "person" }
				/7ad2d189f7e94e70a38c781354912448|d9b373ed55a64feb8242e02dbe79a49c|98e322203f7a4ed290d09fe03c09fe15/ { if (by == "") by = "itself" }
				END { print by }')
		[ -z "$ended_by" ] || return 0
		tries=$((tries + 1))
		sleep 0.1
	done
}

# last_cursor: the journal position of the bot's last entry, empty when it never wrote one.
last_cursor() {
	# Of its output the last line: what the bot wrote stands before it, whatever it looks like.
	journalctl -q -m -u "$UNIT" -n 1 -o cat --show-cursor 2>/dev/null | sed -n '$s/^-- cursor: //p'
}

# run_as: the user that the bot runs as, in $user.
run_as() {
	user=''
	[ ! -r "$STATE/user" ] || read -r user <"$STATE/user" || :
	is_name "$user" || user=$BOT
}
