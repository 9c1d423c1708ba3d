# ready: wait until the bot gives the sign that its release names, or find out why it does not.
# Used by the guard after each start; check uses what is known of journald. It writes SIGN_READ.

# await_ready RELEASE: wait for the sign that the release names; sets ready, when it came, or not_ready
# and whose fault that is, in blame: the release's (ready), or the host's (host); unseen says why a
# release counts as ready whose sign was not seen. Uses cursor. A bot that this run did not start gave
# its sign before: it has to be active only. The same holds for one whose lines journald drops, and, on
# the way back, for any that is active: a line that is missing needs no person. It asks less often as
# time goes on, because asking takes processor time that the bot needs to start.
await_ready() {
	not_ready='' blame=ready holder='' unseen='' dropped=0 lost='' next_loss_check=200 timeout=''
	load "$RELEASES/$1/.botdeploy/ready" kind value timeout
	wanted=$value limit=$timeout
	is_number "$limit" || limit=30
	[ "$restarted" = yes ] || [ "$kind" != pattern ] || kind=active
	read_uptime
	from=$now_cs asked='' since=$cursor pid='' pid_since=$now_cs
	{ true >"$SIGN_READ"; } 2>/dev/null
	while :; do
		read_uptime
		spent=$((now_cs - from))
		found=no
		if [ "$kind" = pattern ] && [ -n "$asked" ] && has_sign; then found=yes; fi
		if [ "$found$kind" = nopattern ]; then find_loss; fi
		if [ "$kind" != pattern ] || [ "$found" = yes ] || [ -z "$asked" ] || [ $((now_cs - asked)) -ge 10 ]; then
			ready=$now_cs asked=$now_cs
			unit_state
			if has_failed; then return 1; fi
			if [ "$ActiveState" = active ] && is_ready; then return 0; fi
		fi
		if [ "$spent" -ge $((limit * 100)) ]; then
			not_ready="not ready within $limit s (${kind:-active}${wanted:+: $wanted})${lost:+; $lost}"
			name_hindrance
			[ "$kind" = pattern ] && [ ! -e "$PENDING" ] && [ "$ActiveState" = active ] || return 1
			unseen="it is active, and its sign was not seen within $limit s${mute:+: $mute}${lost:+; $lost}" not_ready=''
			return 0
		fi
		# The controller may be gone, or have cancelled the switch.
		if [ -e "$PENDING" ] && is_lapsed; then
			not_ready=$LAPSED
			return 1
		fi
		if [ -e "$REVERTING" ]; then
			get "$REVERTING" old
			if [ "$got" != "$1" ]; then # else it is what is returned to, also from itself
				get "$REVERTING" new
				[ "$got" != "$1" ] || { not_ready="the switch was cancelled before the bot was ready"; return 1; }
			fi
		fi
		if [ "$spent" -lt 30 ]; then sleep 0.03; elif [ "$spent" -lt 500 ]; then sleep 0.1; else sleep 0.25; fi
	done
}

# has_sign: did the bot write a line that matches? Reads on from where the last look ended. Not by
# following: journald shows followers a line up to a quarter of a second late. Lines from before the old
# process was gone don't count (the stamp is the kernel's clock), nor those that journald read from it
# later, nor systemd's.
has_sign() {
	if [ -n "$since" ]; then set -- -m --cursor="$since"; else set -- -b; fi
	journalctl -q -u "$UNIT" --all --no-pager -o short-monotonic --no-hostname --show-cursor "$@" </dev/null 2>/dev/null |
		awk -v quiet="$InactiveEnterTimestampMonotonic" -v dead="$old_pids" -v end="$SIGN_READ" '
			BEGIN { count = split(dead, pids, " "); while (count) old[pids[count--]] }
			END { print cursor, dropped + 0 >end }
			/^-- cursor: / { cursor = substr($0, 12); next }
			/^\[ *[0-9]+\.[0-9]+\] / {
				stamp = substr($0, 2) * 1000000
				sub(/^\[[^]]*\] /, "")
				is_new = stamp >= quiet && !/^systemd\[1\]: /
				if (match($0, /^[^ ]*\[[0-9]+\]: /)) {
					pid = substr($0, 1, RLENGTH - 3)
					sub(/^.*\[/, "", pid)
					if (pid in old) is_new = 0
				}
				if (/^systemd-journald[^:]*: Suppressed [0-9]+ messages/) {
					if (NR > 1) dropped += $3 # the first is the one that the last look ended with
					is_new = 0
				}
				sub(/^[^:]*: /, "")
			}
			is_new {
				if (/[\001-\010\013-\037\177\302]/) plain()
				print
			}
			# What colours a line, moves a cursor or names a window is no part of its text.
			function plain() {
				gsub(/\302\233/, "\033[")
				gsub(/\033\[[0-?]*[ -\/]*[@-~]/, "")
				gsub(/\033[]PX^_][^\007\033]*(\007|\033\\|$)/, "")
				gsub(/\033[ -\/]*[0-~]/, "")
				gsub(/[\001-\010\013-\037\177]/, "")
			}' | grep -qE -m 1 -e "$wanted" && return 0
	if read -r got more <"$SIGN_READ" && is_number "$more"; then
		since=$got
		dropped=$((dropped + more))
	fi
	return 1
}

# find_loss: does journald drop the bot's lines, so that its sign may be among those? Says it in lost.
# journald says what it dropped only when its interval is over and the unit writes again. Before that, a
# unit that has written as much as it may is known by that.
find_loss() {
	[ "$dropped" -eq 0 ] || lost="journald dropped $dropped lines of this unit"
	[ "$dropped" -eq 0 ] || return 0
	[ "$spent" -ge "$next_loss_check" ] || [ "$spent" -ge $((limit * 100)) ] || return 0
	next_loss_check=$((spent + 1000))
	read_rate_limit
	[ "$burst" -gt 0 ] || return 0
	got=$(journalctl -q -u "$UNIT" --since="-$interval" -o cat --output-fields=PRIORITY </dev/null 2>/dev/null | wc -l)
	[ "$got" -lt "$burst" ] ||
		lost="journald drops what this unit writes beyond $burst lines in $interval"
}

# read_rate_limit: how much journald takes of the unit, in burst and interval; a burst of 0 is no limit.
read_rate_limit() {
	interval='' burst=0
	while IFS='=' read -r property setting; do
		case $property in
		LogRateLimitIntervalUSec) [ "$setting" = 0 ] || interval=$setting ;;
		LogRateLimitBurst) ! is_number "$setting" || burst=$setting ;;
		esac
	done <<-EOF
		$(systemctl show "$UNIT" -p LogRateLimitIntervalUSec,LogRateLimitBurst 2>/dev/null)
	EOF
	if [ -z "$interval" ] || [ "$burst" -eq 0 ]; then read_journald_settings; fi
}

# read_journald_settings: what its configuration says, in storage, max_level, interval and burst.
read_journald_settings() {
	storage='' max_level='' interval=30s burst=10000
	while IFS='=' read -r property setting; do
		case $property in
		Storage) storage=$setting ;;
		MaxLevelStore) max_level=$setting ;;
		RateLimitIntervalSec) interval=$setting ;;
		RateLimitBurst) ! is_number "$setting" || burst=$setting ;;
		esac
	done <<-EOF
		$(systemd-analyze cat-config systemd/journald.conf 2>/dev/null | sed 's/[[:blank:]]*=[[:blank:]]*/=/; s/[[:blank:]]*$//')
	EOF
	case $interval in 0 | 0s) burst=0 ;; esac
}

has_failed() {
	# It is the main process's: 0 also where a step before or after it failed.
	status=''
	[ "$ExecMainStatus" = 0 ] || status="status $ExecMainStatus"
	case $ActiveState in
	failed) not_ready="the unit failed before it was ready ($Result${status:+, $status})" ;;
	inactive)
		# A start that is still queued looks like this as well; its job tells.
		case $Job in '' | 0) [ "$spent" -lt 10 ] || not_ready="the bot ended before it was ready (status $ExecMainStatus)" ;; esac
		;;
	esac
	# Before the restart its status is known; afterwards systemd tells that of the new process.
	case $SubState:$Result in
	*:timeout) not_ready="not ready within $limit s ($kind)" ;;
	auto-restart*) not_ready="the bot crashed before it was ready${status:+ ($status)}" ;;
	esac
	[ -n "$not_ready" ] || [ "$NRestarts" -eq 0 ] || not_ready="the bot crashed before it was ready"
	case $kind:$Result in notify:timeout) name_hindrance ;; esac
	[ -n "$not_ready" ] || return 1
	name_failed_step
}

# name_failed_step: could systemd not set the unit up on this host? The code is not at fault then.
name_failed_step() {
	case $ExecMainStatus in 2[0-4][0-9]) ;; *) return 0 ;; esac
	# By the field that systemd sets: a process that is gone at once may not be found under the unit.
	step=$(journalctl -q -m UNIT="$UNIT" ${cursor:+--cursor="$cursor"} -o cat --no-pager </dev/null 2>/dev/null |
		sed -n 's/^.*Failed at step \([A-Z_]*\) spawning [^:]*: /\1: /p' | tail -n 1)
	case $step in
	'') ;;
	EXEC:*) not_ready="$not_ready: systemd can't execute $(sed -n 's/^ExecStart=//p' "$UNIT_FILE" 2>/dev/null | tail -n 1)" ;;
	*) not_ready="systemd can't set the unit up on this host (status $ExecMainStatus, $step); botdeploy check names the setting" blame=host ;;
	esac
}

# name_hindrance: add to not_ready what kept the sign from being seen, where that can be told.
name_hindrance() {
	mute=''
	case $kind in
	pattern)
		[ "$ActiveState" = active ] || return 0
		find_why_mute
		[ -z "$mute" ] || not_ready="$not_ready: $mute" blame=host
		;;
	notify)
		refused=$(journalctl -q -m -u "$UNIT" ${cursor:+--cursor="$cursor"} -o cat --no-pager _PID=1 </dev/null 2>/dev/null |
			grep 'Got notification message from PID .* but reception' | tail -n 1)
		[ -z "$refused" ] || not_ready="$not_ready; systemd says: $refused. Set NotifyAccess: all in bot: unit:"
		;;
	port | http)
		if [ "$kind" = http ] && ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
			not_ready="$not_ready: neither curl nor wget is on this host to ask it" blame=host
			return
		fi
		[ -z "$holder" ] || not_ready="$not_ready: its port is held by $holder, not by the bot" blame=host
		;;
	esac
}

# find_why_mute: what keeps lines of the bot's unit out of the journal, in $mute.
find_why_mute() {
	mute=''
	while IFS='=' read -r property setting; do
		case $property:$setting in
		*: | StandardOutput:journal* | StandardOutput:inherit | StandardOutput:kmsg* | StandardOutput:syslog*) ;;
		LogLevelMax:[0-5]) mute="LogLevelMax=$setting of the unit drops its lines" ;;
		LogLevelMax:*) ;;
		LogNamespace:*) mute="its lines go to a journal of their own (LogNamespace=$setting of the unit)" ;;
		StandardOutput:*) mute="its lines do not go to the journal (StandardOutput=$setting of the unit)" ;;
		LogFilterPatterns:*) mute="LogFilterPatterns=$setting of the unit may drop its lines" ;;
		esac
	done <<-EOF
		$(systemctl show "$UNIT" -p LogNamespace,StandardOutput,LogLevelMax,LogFilterPatterns 2>/dev/null)
	EOF
	[ -z "$mute" ] || return 0
	if ! systemctl is-active -q systemd-journald; then
		mute="systemd-journald does not run"
		return
	fi
	read_journald_settings
	case $storage in none) mute="journald keeps nothing (Storage=none in its configuration)" ;; esac
	case $max_level in
	emerg | alert | crit | err | warning | notice | [0-5]) mute="journald drops lines below the level $max_level (MaxLevelStore in its configuration)" ;;
	esac
}

is_ready() {
	case $kind in
	pattern)
		[ "$found" = no ] || return 0
		is_steady && [ -n "$lost" ] || return 1
		unseen="it is active, but its sign was not seen: $lost"
		;;
	notify) return 0 ;;
	port) listens "$wanted" ;;
	http) is_own_listener "$wanted" && answers "$wanted" ;;
	command)
		run_as
		(go_there timeout 10 runuser -u "$user" -- /bin/sh -c "$wanted") >/dev/null 2>&1 </dev/null 8>&- 9>&-
		;;
	*) is_steady ;;
	esac
}

is_steady() { # has the same process been there for two seconds?
	if [ "$MainPID" != "$pid" ]; then pid=$MainPID pid_since=$now_cs; fi
	[ $((now_cs - pid_since)) -ge 200 ]
}

# listens PORT: does a process of the bot's unit listen on the TCP port? What else does is in $holder.
# The bot may have a network of its own, so it is looked at from there.
listens() {
	holder=''
	is_number "$1" || return 1
	sockets=$(awk -v port="$(printf ':%04X$' "$1")" '$4 == "0A" && $2 ~ port { print "socket:[" $10 "]" }' \
		"/proc/$MainPID/net/tcp" "/proc/$MainPID/net/tcp6" 2>/dev/null)
	[ -n "$sockets" ] || return 1
	# shellcheck disable=SC2046 # numbers, one a word
	has_socket $(unit_pids "$ControlGroup") && return 0
	holder="another process"
	set +f
	for folder in /proc/[0-9]*; do
		has_socket "${folder#/proc/}" || continue
		read -r command 2>/dev/null <"$folder/comm" || continue
		holder="$command (process ${folder#/proc/} of $(stat -c %U "$folder" 2>/dev/null))"
		break
	done
	set -f
	return 1
}

has_socket() { # PID ...: has one of them one of the sockets open?
	for one in "$@"; do
		find "/proc/$one/fd" -maxdepth 1 -type l -printf '%l\n' 2>/dev/null | grep -qxF -e "$sockets" && return 0
	done
	return 1
}

# is_own_listener URL: a URL of this host is answered by the bot, or by a server that passes it on to
# the bot. Of another host's nothing can be told.
is_own_listener() {
	place=${1#*://}
	place=${place%%[/?#]*}
	place=${place##*@}
	case $1 in https:*) port_of=443 ;; *) port_of=80 ;; esac
	case $place in
	*]) ;;
	*:*) port_of=${place##*:} place=${place%:*} ;;
	esac
	case $place in localhost | 127.* | '[::1]' | 0.0.0.0 | '[::]') ;; *) return 0 ;; esac
	listens "$port_of" && return 0
	case $holder in nginx' '* | caddy' '* | haproxy' '* | traefik' '* | apache2' '* | httpd' '* | envoy' '*) return 0 ;; esac
	return 1
}

answers() { # does the URL answer with success? Asked with the bot's rights, and only by http.
	case $1 in http://* | https://*) ;; *) return 1 ;; esac
	if command -v curl >/dev/null; then
		set -- curl -q -fsS --proto '=http,https' -o /dev/null -m 3 -- "$1"
	else
		set -- wget -q -O /dev/null -T 3 -- "$1"
	fi
	run_as
	runuser -u "$user" -- "$@" >/dev/null 2>&1 </dev/null 8>&- 9>&-
}
