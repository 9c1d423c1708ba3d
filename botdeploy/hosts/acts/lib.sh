#!/bin/sh
# The ground that every act on a host stands on: names, places, records, and the fence.
#
# Called as   /usr/local/lib/botdeploy/DIGEST/BOT NONCE ACT [ARGUMENT ...]
# The bot's name is this file's own name: sudo has matched that path, so a caller can't choose it.
# Every record is a line "@@NONCE {json}"; the last one carries "final" and the exit code.

set -uf
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset IFS ENV CDPATH
umask 022
cd / || exit 70

PROGRAM=$0
BOT=${0##*/}
NONCE=${1:--}
ACT=${2:-}
UNIT=$BOT.service
HOME_DIR=/opt/$BOT              # releases, current, previous, shared
RELEASES=$HOME_DIR/releases
PARTIAL=$HOME_DIR/.partial      # what is being staged; same file system, so one rename completes it
STATE=/var/lib/botdeploy/$BOT   # durable: pending, confirmed, reverted, proven, quarantine, audit
RUN=/run/botdeploy/$BOT         # gone at reboot: lock, lease, results
GUARD=botdeploy-guard-$BOT
TAB='	'
NL='
'

# --- records -----------------------------------------------------------------------------------

emit() { printf '@@%s %s\n' "$NONCE" "$1"; }

# Quote any text as a JSON string; control characters become spaces.
quoted() {
	case $1 in
	*[!\ !#-[\]-~]*)
		printf '"%s"' "$(printf %s "$1" | tr '\000-\037\177' ' ' | sed 's/[\\"]/\\&/g')"
		;;
	*) printf '"%s"' "$1" ;;
	esac
}

finish() {
	emit "{\"final\": true, \"rc\": $1}"
	exit "$1"
}

# fault CODE MESSAGE: say what could not be done, and end.
fault() {
	emit "{\"fault\": \"$1\", \"message\": $(quoted "$2")}"
	finish 1
}

log() { printf '%s\n' "$1" >&2; }

# --- checks: an argument that does not look right never reaches a path or a command -------------

is_name() { case $1 in '' | [!a-z]* | *[!a-z0-9_-]*) return 1 ;; esac && [ ${#1} -le 32 ]; }
is_id() { case $1 in '' | .* | *[!A-Za-z0-9._-]* | *..*) return 1 ;; esac && [ ${#1} -le 64 ]; }
is_number() { case $1 in '' | *[!0-9]*) return 1 ;; esac && [ ${#1} -le 15 ]; }
is_line() { case $1 in *"$NL"*) return 1 ;; esac && [ ${#1} -le 1000 ]; }

need_id() { is_id "$2" || fault usage "$1 is not an identifier"; }
need_number() { is_number "$2" || fault usage "$1 is not a number"; }
need_line() { is_line "$2" || fault usage "$1 must be one line of at most 1000 characters"; }

is_name "$BOT" || fault usage "this program must be installed under a bot's name"

# --- time: the kernel's monotonic clock only; a wall clock may jump ------------------------------

uptime_s() { read -r up _ </proc/uptime && printf '%s' "${up%.*}"; }
uptime_cs() { # hundredths of a second
	read -r up _ </proc/uptime
	cs=${up#*.}
	printf '%s' "${up%.*}$cs"
}
utc() { date -u +%Y-%m-%dT%H:%M:%S.%6NZ; }

# --- state files: "key=value" lines, one value a line ------------------------------------------

# field FILE KEY: print the value, or nothing.
field() {
	[ -r "$1" ] || return 0
	while IFS= read -r row; do
		case $row in "$2="*)
			printf '%s' "${row#*=}"
			return 0
			;;
		esac
	done <"$1"
}

# put FILE: replace a file whole by standard input: temp name, sync, rename, sync of the folder.
put() {
	tmp=$1.new.$$
	if cat >"$tmp" 2>/dev/null && sync "$tmp" && mv -T "$tmp" "$1" && sync "${1%/*}"; then
		return 0
	fi
	rm -f "$tmp"
	return 1
}

# relink LINK TARGET: point a link elsewhere by one rename, and make it durable.
relink() {
	[ "$(readlink "$1" 2>/dev/null)" = "$2" ] && return 0
	ln -s "$2" "$1.new.$$" && mv -T "$1.new.$$" "$1" && sync "${1%/*}" && return 0
	rm -f "$1.new.$$"
	return 1
}

release_of_link() {
	target=$(readlink "$HOME_DIR/$1" 2>/dev/null) || return 0
	printf '%s' "${target##*/}"
}

is_complete() { [ -n "$1" ] && [ -f "$RELEASES/$1/.botdeploy/digest" ]; }
is_proven() { [ -n "$1" ] && [ -e "$STATE/proven/$1" ]; }

audit() { # audit WHAT RELEASE OUTCOME WHY
	printf '{"at": "%s", "act": "%s", "release": "%s", "outcome": "%s", "who": %s, "why": %s}\n' \
		"$(utc)" "$1" "$2" "$3" "$(quoted "$(field "$RUN/lock" owner)")" "$(quoted "$4")" \
		2>/dev/null >>"$STATE/audit.jsonl" || :
}

# --- the fence: whoever changes what is pending holds this ---------------------------------------

fence() {
	exec 9>>"$RUN/fence" || fault state "cannot write $RUN"
	flock 9
}
unfence() { exec 9>&-; }

# --- the rollout lock --------------------------------------------------------------------------

lock_left() { # seconds until the lock lapses; 0 when nobody holds it
	[ -e "$RUN/lock" ] || { printf 0; return; }
	deadline=$(field "$RUN/lock" deadline)
	now=$(uptime_s)
	[ "${deadline:-0}" -gt "$now" ] && printf '%s' $((deadline - now)) || printf 0
}

lock_record() {
	printf '{"owner": %s, "kind": "%s", "why": %s, "since": "%s", "left_s": %s}' \
		"$(quoted "$(field "$RUN/lock" owner)")" "$(field "$RUN/lock" kind)" \
		"$(quoted "$(field "$RUN/lock" why)")" "$(field "$RUN/lock" since)" "$(lock_left)"
}

# need_lock TOKEN: go on only for the holder. A lapsed lock that nobody else took is still ours.
need_lock() {
	need_id token "$1"
	[ "$(field "$RUN/lock" token)" = "$1" ] && return 0
	if [ "$(lock_left)" -gt 0 ]; then
		emit "{\"fault\": \"locked\", \"message\": \"another controller has the lock\", \"lock\": $(lock_record)}"
		finish 4
	fi
	fault lost-lock "the lock lapsed and was given up; nothing was changed"
}

write_lock() { # TOKEN TTL KIND OWNER WHY
	printf 'token=%s\ndeadline=%s\nkind=%s\nsince=%s\nowner=%s\nwhy=%s\n' \
		"$1" $(($(uptime_s) + $2 + 1)) "$3" "$(utc)" "$4" "$5" >"$RUN/lock.new.$$" &&
		mv -T "$RUN/lock.new.$$" "$RUN/lock"
}

renew_lock() { # TOKEN TTL; fails when somebody else has it
	fence
	[ "$(field "$RUN/lock" token)" = "$1" ] || { unfence; return 1; }
	sed "s/^deadline=.*/deadline=$(($(uptime_s) + $2 + 1))/" "$RUN/lock" >"$RUN/lock.new.$$" &&
		mv -T "$RUN/lock.new.$$" "$RUN/lock"
	unfence
}

# --- the bot's unit ----------------------------------------------------------------------------

# unit_state: set ActiveState, SubState, NRestarts, MainPID, Result, InvocationID, ControlGroup …
unit_state() {
	ActiveState=unknown SubState=unknown NRestarts=0 MainPID=0 Result='' InvocationID=''
	ControlGroup='' ActiveEnterTimestampMonotonic=0 ExecMainStatus=0 NeedDaemonReload=no
	UnitFileState='' LoadState=''
	while IFS='=' read -r key value; do
		case $key in
		ActiveState | SubState | NRestarts | MainPID | Result | InvocationID | ControlGroup | \
			ActiveEnterTimestampMonotonic | ExecMainStatus | NeedDaemonReload | UnitFileState | LoadState)
			eval "$key=\$value"
			;;
		esac
	done <<-EOF
		$(systemctl show "$UNIT" -p ActiveState,SubState,NRestarts,MainPID,Result,InvocationID \
		-p ControlGroup,ActiveEnterTimestampMonotonic,ExecMainStatus,NeedDaemonReload \
		-p UnitFileState,LoadState 2>/dev/null)
	EOF
	case $NRestarts in '' | *[!0-9]*) NRestarts=0 ;; esac
}

# running_release: the release of the process that runs, not of the link; call after unit_state.
running_release() {
	[ "${MainPID:-0}" -gt 0 ] 2>/dev/null || return 0
	found=$(tr '\000' '\n' 2>/dev/null <"/proc/$MainPID/environ" | sed -n 's/^BOTDEPLOY_RELEASE=//p;' | head -n 1)
	if [ -z "$found" ]; then
		found=$(readlink "/proc/$MainPID/cwd" 2>/dev/null)
		case $found in "$RELEASES"/*) found=${found#"$RELEASES"/} found=${found%%/*} ;; *) found='' ;; esac
	fi
	printf '%s' "$found"
}

# unit_pids: every process in the unit's control group, children and grandchildren too.
unit_pids() {
	group=$1
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ -n "$group" ] && [ -d "$root$group" ] || continue
		find "$root$group" -name cgroup.procs -exec cat {} + 2>/dev/null
		return 0
	done
}

# last_cursor: the journal position of the bot's last entry, empty when it never wrote one.
last_cursor() {
	journalctl -q -m -u "$UNIT" -n 1 -o cat --show-cursor 2>/dev/null | sed -n 's/^-- cursor: //p'
}

# --- preparation: what a host needs once; cheap when it is there ---------------------------------

run_as() { u=$(cat "$STATE/user" 2>/dev/null) && printf '%s' "${u:-$BOT}" || printf '%s' "$BOT"; }

prepare_run() { mkdir -p -m 0700 "$RUN" 2>/dev/null || fault state "cannot write /run/botdeploy"; }

prepare() { # USER
	is_name "$1" || fault usage "user is not a user's name"
	[ -d /run/systemd/system ] || fault no-systemd "this host does not run systemd"
	for tool in flock systemd-run journalctl sha256sum tar gzip; do
		command -v "$tool" >/dev/null || fault no-tool "$tool is missing on this host"
	done
	for parent in /opt /var/lib; do
		[ -w "$parent" ] || fault read-only "$parent is not writable"
	done
	if ! id -u "$1" >/dev/null 2>&1; then
		useradd --system --no-create-home --home-dir "$HOME_DIR/shared" \
			--shell /usr/sbin/nologin "$1" 2>/dev/null || fault user "cannot create the user $1"
	fi
	[ "$(id -u "$1")" -ne 0 ] || fault user "a bot does not run as root"
	mkdir -p "$RELEASES" && chown root:root "$HOME_DIR" "$RELEASES" && chmod 0755 "$HOME_DIR" "$RELEASES" ||
		fault state "cannot create $RELEASES"
	if [ ! -d "$HOME_DIR/shared" ]; then
		mkdir -p "$HOME_DIR/shared" && chown "$1:" "$HOME_DIR/shared" && chmod 0750 "$HOME_DIR/shared" ||
			fault state "cannot create $HOME_DIR/shared"
	fi
	[ -d "$STATE/proven" ] && [ -d "$STATE/quarantine" ] && [ -d "$STATE/evidence" ] || {
		mkdir -p "$STATE/proven" "$STATE/quarantine" "$STATE/evidence" && chmod 0700 /var/lib/botdeploy "$STATE" ||
			fault state "cannot create $STATE"
	}
	[ "$(cat "$STATE/user" 2>/dev/null)" = "$1" ] || printf '%s\n' "$1" | put "$STATE/user" ||
		fault state "cannot write $STATE/user"
	prepare_boot_unit
}

# The boot unit puts an unconfirmed release back before the bot's own unit starts.
prepare_boot_unit() {
	unit=/etc/systemd/system/botdeploy-boot-$BOT.service
	text="[Unit]
Description=botdeploy: return $BOT to its proven release when nobody confirmed the new one
ConditionPathExists=|$STATE/pending
ConditionPathExists=|$STATE/reverting
RequiresMountsFor=/opt /var/lib
Before=$UNIT

[Service]
Type=oneshot
ExecStart=$PROGRAM - guard boot

[Install]
WantedBy=multi-user.target"
	[ "$(cat "$unit" 2>/dev/null)" = "$text" ] && return 0
	[ -w /etc/systemd/system ] || fault read-only "/etc/systemd/system is not writable"
	printf '%s\n' "$text" | put "$unit" &&
		mkdir -p /etc/systemd/system/multi-user.target.wants &&
		relink "/etc/systemd/system/multi-user.target.wants/botdeploy-boot-$BOT.service" "$unit" &&
		systemctl daemon-reload || fault state "cannot write $unit"
}
