# guard: the one that acts. A service of its own under systemd: started by switch or revert,
# restarted by systemd whatever ended it, started at boot before the bot when something was left open.
#
#   guard run     switch what is armed, then wait: confirmed → end; lease over → go back
#   guard boot    what is unconfirmed at boot goes back before the bot's unit starts
#
# The lease counts from the moment that the switch is armed: nothing here waits longer for a bot than
# a controller asks for it. A path unit starts the guard again as long as a mark stands (our_units).
#
# Each step looks before it acts, so a guard that begins again repeats nothing that is done. What it
# must remember for that (since when it counts, from where it reads the journal) is in RUN/switching.

act_guard() {
	case ${1:-} in run | boot) ;; *) fault usage "guard run, or guard boot" ;; esac
	late=no
	if ! is_there; then
		if [ "$1" = boot ]; then start_guard --no-block && return; fi
		log "waiting for $HOME_DIR and $STATE"
		until is_there; do sleep 2; done
		late=yes
	fi
	command exec 8>>"$RUN/guard.lock" || fault state "cannot write $RUN"
	flock 8
	crumbs
	if [ "$1" = boot ]; then
		guard_boot
		return
	fi
	await_mark
	while [ -e "$STATE/pending" ] || [ -e "$STATE/reverting" ]; do
		if [ -e "$STATE/pending" ] && [ "$(field "$RUN/result" run)" != "$(field "$STATE/pending" run)" ]; then
			is_lapsed || switch_release
		fi
		keep_lease
		[ ! -e "$STATE/reverting" ] || go_to_old
		await_mark
	done
	is_announced || rm -f "$RUN/announced" # of an act that was killed
	if [ "$late" = yes ]; then
		systemctl start --no-block "$GUARD.path"
		start_late
	fi
}

# is_there: are the places that every act needs? A disk may come after the boot.
is_there() { [ -d "$HOME_DIR" ] && [ -d "$STATE" ]; }

# start_late: load and start the bot whose unit systemd could not see when it planned the boot.
start_late() {
	unit_state
	[ "$LoadState" = not-found ] && is_enabled && [ -e "$HOME_DIR/current/.botdeploy/$UNIT" ] || return 0
	systemctl daemon-reload
	systemctl start --no-block "$UNIT"
}

# await_mark: whoever arms or reverts starts the guard first and writes its mark then: one that is
# killed in between leaves no mark without a guard. Until the mark stands, or that one is gone.
await_mark() {
	tick
	end=$((now_s + 60))
	while [ ! -e "$STATE/pending" ] && [ ! -e "$STATE/reverting" ] && is_announced && [ "$now_s" -lt "$end" ]; do
		sleep 0.03
		tick
	done
}

is_announced() {
	announcer=''
	[ ! -r "$RUN/announced" ] || read -r announcer <"$RUN/announced" || :
	is_number "$announcer" && [ -d "/proc/$announcer" ]
}

# --- forward ------------------------------------------------------------------------------------

switch_release() {
	get "$STATE/pending" run
	run=$got
	get "$STATE/pending" new
	new=$got
	get "$STATE/pending" old
	old=$got
	log "switch $BOT from ${old:-nothing} to $new (run $run)"
	begin_change "$run"
	unit_state
	running_release
	link_of current
	if [ "$linked" != "$new" ] || [ "$running" != "$new" ]; then
		[ -z "$old" ] || relink "$HOME_DIR/previous" "releases/$old" || { abandon "cannot write the link previous"; return; }
		replace_release "$new" pending || { is_lapsed || abandon "$failed"; return; }
	fi
	if await_ready "$new"; then
		end_change
		harden
		put_run result "run=$run
new=$new
old=$old
invocation=$InvocationID
cursor=$cursor
downtime_s=$(seconds $((ready - begun)))
ready_s=$(seconds $((ready - stopped)))
at_us=$begun_us
unseen=$unseen
restarts=$NRestarts"
		rm -f "$STATE/stuck"
		audit switch "$new" ready "$unseen" "$(field "$STATE/pending" owner)" "$(field "$STATE/pending" login)"
		log "$new is ready${unseen:+: $unseen}"
	else
		[ -e "$STATE/pending" ] && [ "$not_ready" != "$LAPSED" ] || return
		if [ "$blame" = ready ]; then
			digest_of "$new"
			quarantine "$digest" "$not_ready" || :
		fi
		abandon "$not_ready" "$blame"
	fi
}

abandon() { # WHY [CAUSE]
	log "$new: $1"
	fence
	[ "$(field "$STATE/pending" run)" != "$run" ] || claim_revert host "${2:-ready}" "$1"
	unfence
}

# begin_change RUN: set cursor, begun, begun_us and stopped; the same again after a death. What is
# set here as begun holds only where nothing is to be stopped.
begin_change() {
	tick
	change=$1 cursor='' begun=$now_cs begun_us='' stopped=$now_cs restarted=no old_pids=''
	if [ "$(field "$RUN/switching" run)" = "$1" ]; then
		get "$RUN/switching" cursor
		cursor=$got
		get "$RUN/switching" begun
		! is_number "$got" || begun=$got
		get "$RUN/switching" begun_us
		begun_us=$got
		get "$RUN/switching" old_pids
		old_pids=$got
		get "$RUN/switching" stopped
		if is_number "$got"; then stopped=$got restarted=yes; fi
	else
		cursor=$(last_cursor)
		keep_change
	fi
}

# keep_change: write down what a guard that begins again must know. Whole each time: a guard may begin
# again for days, as long as a disk is broken.
keep_change() {
	dead_at=''
	[ "$restarted" = no ] || dead_at=$stopped
	put_run switching "run=$change
cursor=$cursor
begun=$begun
begun_us=$begun_us
old_pids=$old_pids
stopped=$dead_at"
}

# note_begin GROUP: now the bot is told to stop. What was noted before of the time holds no more.
# Its processes are noted too: a line of theirs may reach the journal when they are long dead.
note_begin() {
	old_pids=$(unit_pids "$1" | tr '\n' ' ')
	wall
	begun_us=$wall_us
	tick
	begun=$now_cs
	keep_change
}

end_change() {
	put_run started "$InvocationID=$new_release"
}

# replace_release RELEASE MARK: the change itself: stop, prove dead, link, start. An empty name
# starts nothing. MARK must still stand when the links change: what was claimed goes another way.
# Sets failed when it can't.
replace_release() {
	failed=''
	# What a full or broken disk would refuse comes before the stop: a bot must not stay down for it.
	prepare_links "$1" "$2" || { failed="cannot write the links"; return 1; }
	needs_reload "$1"
	begin_switches
	systemctl reset-failed "$UNIT" 2>/dev/null
	stop_bot || { failed="the bot could not be stopped"; return 1; }
	tick
	stopped=$now_cs restarted=yes
	keep_change
	fence
	[ -e "$STATE/$2" ] || { unfence; failed="it was called back"; return 1; }
	[ "$2" = reverting ] || ! is_lapsed || { unfence; failed=$LAPSED; return 1; }
	point_at "$1" || { unfence; failed="cannot move the links"; return 1; }
	note_switch "$1"
	unfence
	if [ "$reload" = yes ]; then reload_unit "$1" || { failed="systemd did not reload"; return 1; }; fi
	[ -n "$1" ] || return 0
	said=$(systemctl start --no-block "$UNIT" 2>&1) || { failed="systemd refused to start it: ${said##*"$NL"}"; return 1; }
}

# note_switch RELEASE: since it was told to stop, what ran before runs no more: whoever reads the journal
# asks which release wrote what.
note_switch() {
	[ -n "$begun_us" ] || wall
	printf '%s %s\n' "${begun_us:-$wall_us}" "${1:--}" 2>/dev/null >>"$STATE/switches" || :
}

# begin_switches: of a host that an older botdeploy has switched it is known only what runs now, and since
# about when. Call after unit_state and running_release.
begin_switches() {
	[ ! -e "$STATE/switches" ] || return 0
	latest_phase
	[ -n "$latest" ] || return 0
	printf '0 -\n' 2>/dev/null >>"$STATE/switches" || return 0
	[ "$ActiveState" = active ] && [ -n "$running" ] || return 0
	tick
	since_s=$(($(date +%s) - now_s + ActiveEnterTimestampMonotonic / 1000000 - 30))
	printf '%s000000 %s\n' "$since_s" "$running" 2>/dev/null >>"$STATE/switches" || :
}

# needs_reload RELEASE: must systemd read the unit anew? Sets reload. Reading all units takes it many
# times as long as the rest of a restart, and a release rarely changes its unit. RUN/loaded is what
# systemd was told last. systemd itself knows of drop-ins that changed, but not of the first one in a
# folder that it has not seen yet.
needs_reload() {
	reload=yes
	[ -n "$1" ] && [ "$LoadState" = loaded ] && [ "$NeedDaemonReload" = no ] && [ -r "$RUN/loaded" ] || return 0
	[ -z "$(find "$UNITS" /run/systemd/system -maxdepth 2 -path '*.service.d*' -newer "$RUN/loaded" 2>/dev/null)" ] || return 0
	! directives_of "$1" | cmp -s - "$RUN/loaded" || reload=no
}

directives_of() { sed '/^[#;]/d' "$RELEASES/$1/.botdeploy/$UNIT"; }

reload_unit() { # RELEASE
	rm -f "$RUN/loaded"
	systemctl daemon-reload || return 1
	[ -z "$1" ] || { directives_of "$1" >"$RUN/loaded.new.$$" && mv -T "$RUN/loaded.new.$$" "$RUN/loaded"; } ||
		rm -f "$RUN/loaded.new.$$"
}

# prepare_links RELEASE MARK: the unit, its place in the boot, and a link in $spare that will become
# current. For a return that is previous itself: no disk is too full, also of inodes, for a rename.
prepare_links() {
	spare=''
	[ -w "$HOME_DIR" ] && [ -w "$UNITS" ] || return 1 # a rename needs no space, but a disk that can be written
	[ -n "$1" ] || return 0
	relink "$UNITS/$UNIT" "$HOME_DIR/current/.botdeploy/$UNIT" &&
		relink "$UNITS/multi-user.target.wants/$UNIT" "$UNITS/$UNIT" || return 1
	link_of current
	[ "$linked" != "$1" ] || return 0
	link_of previous
	if [ "$2" = reverting ] && [ "$linked" = "$1" ]; then
		spare=$HOME_DIR/previous
	else
		spare=$HOME_DIR/current.new.$$
		rm -f "$spare" && ln -s "releases/$1" "$spare"
	fi
}

# point_at RELEASE: current names it from here on; one rename takes code, unit and environment along.
# An empty name takes all of it away.
point_at() {
	if [ -n "$1" ]; then
		[ -z "$spare" ] || rename "$spare" "$HOME_DIR/current"
	else
		rm -f "$UNITS/multi-user.target.wants/$UNIT" "$UNITS/$UNIT" "$HOME_DIR/current"
	fi
}

# stop_bot: stop the unit and prove its control group empty. Never start anything after a failure.
# Call after unit_state; that it may be out of date is what the proof is for.
stop_bot() {
	group=${ControlGroup:-/system.slice/$UNIT}
	[ "$restarted" = yes ] || note_begin "$group"
	case $ActiveState in
	inactive | failed) ;;
	*) timeout 960 systemctl stop "$UNIT" 2>/dev/null && is_gone "$group" && return 0 ;;
	esac
	is_dead "$group" && return 0
	systemctl kill -s KILL --kill-who=all "$UNIT" 2>/dev/null
	tries=0
	while [ "$tries" -lt 100 ]; do
		is_dead "$group" && return 0
		for pid in $(unit_pids "$group"); do kill -KILL "$pid" 2>/dev/null; done
		sleep 0.1
		tries=$((tries + 1))
	done
	return 1
}

# is_gone GROUP: the kernel removes a control group only when no process is left in it.
is_gone() {
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ ! -e "$root$1" ] || return 1
	done
}

is_dead() {
	unit_state
	case $ActiveState in inactive | failed) ;; *) return 1 ;; esac
	[ -z "$(unit_pids "$1")" ]
}

# --- is it ready? -------------------------------------------------------------------------------

# await_ready RELEASE: wait for the sign that the release names; sets ready, when it came, or not_ready
# and whose fault that is, in blame: the release's (ready), or the host's (host); unseen says why a
# release counts as ready whose sign was not seen. Uses cursor. A bot that this run did not start has
# long given its sign: being active is then all that is asked. The same holds for one whose lines
# journald drops, and, on the way back, for one that is active: a line that is missing needs no
# person. Whoever asks often takes the time of a processor that the bot needs to start.
await_ready() {
	new_release=$1 not_ready='' blame=ready holder='' unseen='' dropped=0 lost='' look_for_loss=200
	get "$RELEASES/$1/.botdeploy/ready" kind
	kind=$got
	get "$RELEASES/$1/.botdeploy/ready" value
	wanted=$got
	get "$RELEASES/$1/.botdeploy/ready" timeout
	limit=$got
	is_number "$limit" || limit=30
	[ "$restarted" = yes ] || [ "$kind" != pattern ] || kind=active
	tick
	from=$now_cs asked='' since=$cursor pid='' pid_since=$now_cs
	{ : >"$RUN/read"; } 2>/dev/null
	while :; do
		tick
		spent=$((now_cs - from))
		found=no
		if [ "$kind" = pattern ] && [ -n "$asked" ] && has_sign; then found=yes; fi
		if [ "$found$kind" = nopattern ]; then look_for_loss; fi
		if [ "$kind" != pattern ] || [ "$found" = yes ] || [ -z "$asked" ] || [ $((now_cs - asked)) -ge 10 ]; then
			ready=$now_cs asked=$now_cs
			unit_state
			if is_broken; then return 1; fi
			if [ "$ActiveState" = active ] && is_ready; then return 0; fi
		fi
		if [ "$spent" -ge $((limit * 100)) ]; then
			not_ready="not ready within $limit s (${kind:-active}${wanted:+: $wanted})${lost:+; $lost}"
			what_hinders
			[ "$kind" = pattern ] && [ ! -e "$STATE/pending" ] && [ "$ActiveState" = active ] || return 1
			unseen="it is active, and its sign was not seen within $limit s${mute:+: $mute}${lost:+; $lost}" not_ready=''
			return 0
		fi
		# The controller may be gone, or call it back meanwhile.
		if [ -e "$STATE/pending" ] && is_lapsed; then
			not_ready=$LAPSED
			return 1
		fi
		if [ -e "$STATE/reverting" ]; then
			get "$STATE/reverting" old
			if [ "$got" != "$1" ]; then # else it is what is returned to, also from itself
				get "$STATE/reverting" new
				[ "$got" != "$1" ] || { not_ready="called back before it was ready"; return 1; }
			fi
		fi
		if [ "$spent" -lt 30 ]; then sleep 0.03; elif [ "$spent" -lt 500 ]; then sleep 0.1; else sleep 0.25; fi
	done
}

# has_sign: did the bot write a line that matches? Reads on from where the last look ended. Not by
# following: journald tells followers of a line up to a quarter of a second late. Lines from before
# the old process was gone don't count (the stamp tells, it is the kernel's clock), nor those that
# journald read from it later, nor systemd's.
has_sign() {
	if [ -n "$since" ]; then set -- -m --cursor="$since"; else set -- -b; fi
	journalctl -q -u "$UNIT" --all --no-pager -o short-monotonic --no-hostname --show-cursor "$@" </dev/null 2>/dev/null |
		awk -v quiet="$InactiveEnterTimestampMonotonic" -v dead="$old_pids" -v end="$RUN/read" '
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
	if read -r got more <"$RUN/read" && is_number "$more"; then
		since=$got
		dropped=$((dropped + more))
	fi
	return 1
}

# look_for_loss: does journald drop the bot's lines, so that its sign may be among those? Says it in
# lost. It tells of what it dropped only when its interval is over and the unit writes again; before
# that, a unit that has written as much as it may is known by that.
look_for_loss() {
	[ "$dropped" -eq 0 ] || lost="journald dropped $dropped lines of this unit"
	[ "$dropped" -eq 0 ] || return 0
	[ "$spent" -ge "$look_for_loss" ] || [ "$spent" -ge $((limit * 100)) ] || return 0
	look_for_loss=$((spent + 1000))
	rate_limit
	[ "$burst" -gt 0 ] || return 0
	got=$(journalctl -q -u "$UNIT" --since="-$interval" -o cat --output-fields=PRIORITY </dev/null 2>/dev/null | wc -l)
	[ "$got" -lt "$burst" ] ||
		lost="journald drops what this unit writes beyond $burst lines in $interval"
}

# rate_limit: how much journald takes of the unit, in burst and interval; a burst of 0 is no limit.
rate_limit() {
	interval='' burst=0
	while IFS='=' read -r property setting; do
		case $property in
		LogRateLimitIntervalUSec) [ "$setting" = 0 ] || interval=$setting ;;
		LogRateLimitBurst) ! is_number "$setting" || burst=$setting ;;
		esac
	done <<-EOF
		$(systemctl show "$UNIT" -p LogRateLimitIntervalUSec,LogRateLimitBurst 2>/dev/null)
	EOF
	if [ -z "$interval" ] || [ "$burst" -eq 0 ]; then journald_limit; fi
}

# journald_limit: the same for units that say nothing of it.
journald_limit() {
	interval=30s burst=10000
	while IFS='=' read -r property setting; do
		case $property in
		RateLimitIntervalSec) interval=$setting ;;
		RateLimitBurst) ! is_number "$setting" || burst=$setting ;;
		esac
	done <<-EOF
		$(systemd-analyze cat-config systemd/journald.conf 2>/dev/null | grep '^RateLimit')
	EOF
	case $interval in 0 | 0s) burst=0 ;; esac
}

is_broken() {
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
	case $kind:$Result in notify:timeout) what_hinders ;; esac
	[ -n "$not_ready" ] || return 1
	name_step
}

# name_step: was it systemd that could not set the unit up on this host? The code is not at fault then.
name_step() {
	case $ExecMainStatus in 2[0-4][0-9]) ;; *) return 0 ;; esac
	# By the field that systemd sets: a process that is gone at once may not be found under the unit.
	step=$(journalctl -q -m UNIT="$UNIT" ${cursor:+--cursor="$cursor"} -o cat --no-pager </dev/null 2>/dev/null |
		sed -n 's/^.*Failed at step \([A-Z_]*\) spawning [^:]*: /\1: /p' | tail -n 1)
	case $step in
	'') ;;
	EXEC:*) not_ready="$not_ready: systemd can't execute $(sed -n 's/^ExecStart=//p' "$HOME_DIR/current/.botdeploy/$UNIT" 2>/dev/null | tail -n 1)" ;;
	*) not_ready="systemd can't set the unit up on this host (status $ExecMainStatus, $step); botdeploy check names the setting" blame=host ;;
	esac
}

# what_hinders: add to not_ready what kept the sign from being seen, where that can be told.
what_hinders() {
	mute=''
	case $kind in
	pattern)
		[ "$ActiveState" = active ] || return 0
		why_mute
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

# why_mute: what keeps lines of the bot's unit out of the journal, in $mute.
why_mute() {
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
	journald_settings
	case $storage in none) mute="journald keeps nothing (Storage=none in its configuration)" ;; esac
	case $max_level in
	emerg | alert | crit | err | warning | notice | [0-5]) mute="journald drops what is less than $max_level (MaxLevelStore in its configuration)" ;;
	esac
}

# journald_settings: what its configuration says, in storage and max_level.
journald_settings() {
	storage='' max_level=''
	while IFS='=' read -r property setting; do
		case $property in
		Storage) storage=$setting ;;
		MaxLevelStore) max_level=$setting ;;
		esac
	done <<-EOF
		$(systemd-analyze cat-config systemd/journald.conf 2>/dev/null | sed 's/[[:blank:]]*=[[:blank:]]*/=/; s/[[:blank:]]*$//')
	EOF
}

is_ready() {
	case $kind in
	pattern)
		[ "$found" = no ] || return 0
		is_steady && [ -n "$lost" ] || return 1
		unseen="it is active, but whether it is ready was not seen: $lost"
		;;
	notify) return 0 ;;
	port) listens "$wanted" ;;
	http) is_own_listener "$wanted" && answers "$wanted" ;;
	command)
		run_as
		(cd "$HOME_DIR/current" && timeout 10 runuser -u "$user" -- /bin/sh -c "$wanted") >/dev/null 2>&1 </dev/null 8>&- 9>&-
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

# --- keep, or go back ---------------------------------------------------------------------------

LAPSED="no controller confirmed the release in time"

# is_lapsed: is the lease of what is pending over? Of another boot there is none any more.
is_lapsed() {
	lease_left
	[ "$left" -eq 0 ]
}

keep_lease() {
	while [ -e "$STATE/pending" ]; do
		if is_lapsed; then
			fence
			if [ -e "$STATE/pending" ] && is_lapsed; then claim_lapsed; fi
			unfence
		else
			sleep 0.2
		fi
	done
}

# claim_lapsed: nobody confirmed what is pending; fence held.
claim_lapsed() {
	read -r boot </proc/sys/kernel/random/boot_id
	get "$STATE/pending" boot
	if [ "$got" = "$boot" ]; then
		claim_revert host lease "$LAPSED"
	else
		claim_revert host boot "the host restarted before the release was confirmed"
	fi
}

go_to_old() {
	run=$(field "$STATE/reverting" run)
	old=$(field "$STATE/reverting" old)
	new=$(field "$STATE/reverting" new)
	read_claim
	log "return $BOT from $new to ${old:-nothing}: $why"
	begin_change "$run-back"
	unit_state
	running_release
	link_of current
	if [ "$linked" = "$old" ] && is_starting; then
		: # at boot its start is queued already
	elif [ "$linked" != "$old" ] || [ "$running" != "$old" ] || [ -z "$old" ]; then
		replace_release "$old" reverting || { stuck "$failed"; exit 3; }
	fi
	return_previous
	unseen=''
	if [ -n "$old" ]; then
		if await_ready "$old"; then
			end_change
			rm -f "$STATE/stuck"
			[ -z "$unseen" ] || log "$old: $unseen"
		else
			stuck "$not_ready"
		fi
	fi
	harden
	end_revert
}

# is_starting: was the old process proven dead, and is the next one on its way? After unit_state.
is_starting() {
	[ "$restarted" = yes ] || return 1
	case $Job in '' | 0) return 1 ;; esac
	case $ActiveState in inactive | activating) ;; *) return 1 ;; esac
}

# read_claim: who wanted it back and why, in by, cause and why; on a full disk it is in /run only.
read_claim() {
	by=$(field "$STATE/reverting" by) cause=$(field "$STATE/reverting" cause) why=$(field "$STATE/reverting" why)
	if [ -z "$by" ]; then
		by=$(field "$RUN/claim" by) cause=$(field "$RUN/claim" cause) why=$(field "$RUN/claim" why)
	fi
}

# return_previous: previous names the release before, where one is proven and does not run again.
return_previous() {
	get "$STATE/reverting" was_previous
	candidate=$got
	if [ "$candidate" = "$old" ] || ! is_target "$candidate"; then
		last_proven_but "$old" "$new"
		candidate=$target
	fi
	if [ -n "$candidate" ]; then
		relink "$HOME_DIR/previous" "releases/$candidate"
	else
		rm -f "$HOME_DIR/previous"
	fi
}

stuck() {
	log "${old:-nothing} after the revert: $1"
	printf '%s\n' "$1" 2>/dev/null >"$STATE/stuck" || :
}

end_revert() {
	tick
	put_run reverted "run=$run
seconds=$(seconds $((now_cs - begun)))
by=$by
cause=$cause
why=$why
unseen=$unseen"
	fence
	mv -T "$STATE/reverting" "$STATE/reverted" && sync "$STATE" || fault write "cannot rename $STATE/reverting"
	rm -f "$RUN/lease" "$RUN/switching" "$RUN/result"
	unfence
	get "$STATE/reverted" owner
	who=$got
	get "$STATE/reverted" login
	[ "$by" = controller ] || who="this host" got="this host"
	audit revert "$new" "$([ -e "$STATE/stuck" ] && printf stuck || printf "done")" "$why" "$who" "$got"
}

# guard_boot: before the bot's unit, so nothing may wait for it here. The links go back; that the old
# release then runs is proven by the guard proper, which systemd starts after it.
guard_boot() {
	fence
	[ ! -e "$STATE/pending" ] || claim_lapsed
	unfence
	if [ -e "$STATE/reverting" ]; then
		old=$(field "$STATE/reverting" old)
		begin_change "$(field "$STATE/reverting" run)-back"
		# Everything of this boot is the old release's; the entry at the cursor is of another.
		cursor='' stopped=$now_cs restarted=yes
		keep_change
		prepare_links "$old" reverting && point_at "$old" || fault write "cannot write the links"
		note_switch "$old"
		harden
		reload_unit "$old"
		start_guard --no-block
	else
		start_late
	fi
}
