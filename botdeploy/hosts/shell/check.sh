# check: what a rollout needs, tried on this host. It writes nothing that stays.
#
#   check [USER [WANTED [instance]]]
#
# With "instance" only what an instance has for itself: the machine was checked for another one.
#
# One record {"check": {"name", "ok", "message", "mend"}} an item. What would only make a rollout
# worse than it could be is ok, with a mend. Without root's rights it tells what it can see, and what
# it could not look at is not ok. WANTED is what a release will want of the host, base64 of:
#
#   ready=KIND          the sign that is waited for
#   program=NAME        what the bot's command runs: a path, or a name to be found in PATH
#   build=NAME          what the build runs, the same way
#   module=NAME MODULE  a module that the build has an interpreter run (python3 -m MODULE)
#   (an empty line, then the bot's unit)

item() { # NAME OK MESSAGE [MEND]
	quote "$3"
	message=$json
	quote "${4:-}"
	emit "{\"check\": {\"name\": \"$1\", \"ok\": $2, \"message\": $message, \"mend\": $json}}"
}

act_check() {
	wanted_user=${1:-} wanted=${2:-}
	case ${3:-} in '' | instance) ;; *) fault usage "what is checked is all, or: instance" ;; esac
	[ -z "$wanted_user" ] || is_name "$wanted_user" || fault usage "user is not a user's name"
	[ -z "$wanted" ] || wanted=$(printf %s "$wanted" | base64 -d 2>/dev/null) || fault usage "what is wanted is not base64"
	is_root=no
	[ "$(id -u)" -ne 0 ] || is_root=yes
	whole=yes
	[ "${3:-}" != instance ] || whole=no
	seen=' ' told_mute=no
	if [ "$whole" = yes ]; then check_machine; else see_volumes; fi
	for folder in "$HOME_DIR" "$RELEASES" "$SHARED" "$STATE"; do check_volume "$folder"; done
	[ "$whole" = no ] || check_journal
	check_lines
	[ "$whole" = no ] || check_world
	check_place
	check_running
	check_environment
	check_user
	[ -z "$wanted" ] || rehearse
}

# check_machine, check_journal, check_world: what all instances on this machine have in common.
check_machine() {
	[ -n "${BOTDEPLOY_TEXT:-}" ] || check_input
	check_rights
	check_systemd
	check_tools
	for folder in "$OPT" "$VAR_LIB" "$UNITS" /run; do check_folder_space "$folder"; done
	[ -z "$INSTANCE" ] || check_volume "$TREES"
}

check_world() {
	check_clock
	check_names
	check_python
}

see_volumes() {
	for folder in "$OPT" "$VAR_LIB" "$UNITS" /run "$TREES"; do seen="$seen$(stat -c %m "$folder" 2>/dev/null) "; done
}

# check_input: does standard input arrive whole behind sudo's password? Every upload needs that.
check_input() {
	read_word 5 && [ "$word" = arrived ] && return 0
	item input false "standard input does not reach the program: ${SUDO_USER:+sudo may read it together with the password ($(sudo -V 2>&1 </dev/null | head -n 1))}" \
		"sudo-rs 0.2.5 does that: install a newer sudo-rs, or sudo, or run botdeploy setup as root: sudo then asks for no password"
}

check_rights() {
	if [ "$(id -u)" -eq 0 ]; then
		item root true "acts run as root${SUDO_USER:+ through sudo, for $SUDO_USER}"
	else
		item root false "$(id -un) has not root's rights on this host" "run once, with an administrator's user: botdeploy setup"
	fi
	if [ -e "$SUDOERS" ]; then item sudo true "sudo allows botdeploy's program only ($SUDOERS)"; fi
}

check_systemd() {
	if [ ! -d /run/systemd/system ]; then
		item systemd false "this host does not run systemd" "use a host with systemd: botdeploy deploys systemd services only"
		return
	fi
	version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	is_number "$version" || version=0
	if [ "$version" -ge 247 ]; then
		item systemd true "version $version"
	else
		item systemd false "version $version is older than 247" "upgrade the host's distribution"
	fi
}

check_tools() {
	missing_tools
	if [ -z "$tools" ]; then
		item tools true "all are there"
	else
		item tools false "missing: $tools" "install coreutils, findutils, diffutils, util-linux, tar, gzip and sed"
	fi
	command -v curl >/dev/null || command -v wget >/dev/null || case "$NL$wanted" in
	*"${NL}ready=http$NL"*) item curl false "neither curl nor wget is there, and ready: {http: …} needs one" "install curl" ;;
	*) item curl true "neither curl nor wget is there: ready: {http: …} does not work" "install curl if you use ready: {http: …}" ;;
	esac
}

# check_volume FOLDER: where it lies on a volume that was not looked at yet.
check_volume() {
	[ -d "$1" ] || return 0
	case $seen in *" $(stat -c %m "$1") "*) return 0 ;; esac
	check_folder_space "$1"
}

check_folder_space() { # FOLDER
	seen="$seen$(stat -c %m "$1" 2>/dev/null) "
	if [ "$(id -u)" -eq 0 ] && [ ! -w "$1" ]; then
		item "$1" false "$1 is not writable" "remount it: mount -o remount,rw $(stat -c %m "$1" 2>/dev/null)"
		return
	fi
	space_of "$1" || {
		item "$1" false "$1 cannot be read" "look at: df $1"
		return
	}
	free="$((free_bytes / 1000000)) of $((total_bytes / 1000000)) MB free"
	if [ "$free_bytes" -lt $((total_bytes / 10)) ]; then
		item "$1" false "$1: $free, less than a tenth" "free some space: du -xh $1 | sort -h | tail"
	elif [ "$total_inodes" -gt 0 ] && [ "$free_inodes" -lt $((total_inodes / 10)) ]; then
		item "$1" false "$1: $free_inodes of $total_inodes inodes free, less than a tenth" "remove files: du -x --inodes $1 | sort -n | tail"
	else
		item "$1" true "$1: $free"
	fi
	case $1 in
	"$OPT" | "$HOME_DIR" | "$RELEASES" | "$TREES")
		mount=$(stat -c %m "$1")
		! is_noexec "$mount" ||
			item noexec false "$mount is mounted noexec: no program of a release can start there" "mount -o remount,exec $mount, and in /etc/fstab"
		;;
	esac
}

is_noexec() { # MOUNT
	awk -v place="$1" '$2 == place { options = "," $4 "," } END { exit options !~ /,noexec,/ }' /proc/mounts
}

check_journal() {
	if ! systemctl is-active -q systemd-journald; then
		item journald false "systemd-journald does not run: no line of a bot that starts now is kept" "systemctl start systemd-journald"
		return
	fi
	if ! can_read_journal; then
		item journal false "$(id -un) may not read the journal" "usermod -aG systemd-journal $(id -un)"
	elif [ -d /var/log/journal ] && [ -n "$(ls -A /var/log/journal)" ]; then
		item journal true "persistent"
	else
		item journal true "volatile: a reboot deletes the journal" "mkdir -p /var/log/journal && systemctl restart systemd-journald"
	fi
}

# check_lines: will the lines of the bot's unit be kept?
check_lines() {
	systemctl is-active -q systemd-journald || return 0 # that was told
	find_why_mute
	[ -z "$mute" ] || tell_mute
	[ -n "$wanted" ] || check_rate_limit
}

# tell_mute [PLACE]: what keeps the bot's lines from being seen, and where that is set.
tell_mute() {
	told_mute=yes
	set +f
	case $mute in
	*'does not run') mend="systemctl start systemd-journald" ;;
	journald*)
		set_in=$(grep -lEs '^[[:blank:]]*(Storage|MaxLevelStore)[[:blank:]]*=' /etc/systemd/journald.conf /usr/lib/systemd/journald.conf.d/*.conf \
			/run/systemd/journald.conf.d/*.conf /etc/systemd/journald.conf.d/*.conf | tail -n 1)
		mend="take that out of ${set_in:-/etc/systemd/journald.conf}, then: systemctl restart systemd-journald"
		;;
	*)
		set_in=${1:-$(grep -lEs '^[[:blank:]]*(LogNamespace|StandardOutput|LogLevelMax|LogFilterPatterns)[[:blank:]]*=' \
			/usr/lib/systemd/system/"$UNIT".d/*.conf /run/systemd/system/"$UNIT".d/*.conf "$UNIT_LINK".d/*.conf | tail -n 1)}
		mend="take that out of ${set_in:-the unit}, then: systemctl daemon-reload"
		;;
	esac
	set -f
	item lines false "the bot's lines would not be seen: $mute" "$mend"
}

# check_rate_limit [PLACE]: of the bot's unit, or of the one that stands for it.
check_rate_limit() {
	read_rate_limit
	if [ "$burst" -eq 0 ]; then
		item rate-limit true "journald keeps every line that the bot writes"
	elif [ "$burst" -lt 1000 ]; then
		item rate-limit false "journald drops what the bot writes beyond $burst lines in $interval${1:+ ($1)}: its ready sign may be among that" \
			"set LogRateLimitBurst to 10000 or more, or take it out${1:+ of $1, then: systemctl daemon-reload}"
	else
		item rate-limit true "journald drops what the bot writes beyond $burst lines in $interval" \
			"if the bot writes more: LogRateLimitIntervalSec=1s and LogRateLimitBurst=100000 in bot: unit:"
	fi
}

check_clock() {
	case $(timeout 5 timedatectl show -p NTPSynchronized --value 2>/dev/null) in
	yes) item clock true "synchronised, $(utc)" ;;
	no) item clock true "not synchronised, $(utc): times in reports may be off" "timedatectl set-ntp true" ;;
	*) item clock true "$(utc); it is unknown whether it is synchronised" ;;
	esac
}

check_names() {
	read -r own </proc/sys/kernel/hostname
	if timeout 3 getent hosts "$own" >/dev/null; then return 0; fi
	item hostname true "the host cannot resolve its own name $own: each sudo may wait for a DNS server" "add to /etc/hosts: 127.0.1.1 $own"
}

check_python() {
	if command -v python3 >/dev/null; then
		item python true "$(python3 -V 2>&1)"
	else
		item python true "no python3: only a bot's build or command may need it" "install python3 if the bot needs it"
	fi
}

check_place() {
	if is_foreign_unit; then
		about_foreign
		if is_our_unit; then
			item unit false "$UNIT is botdeploy's and hides $foreign" "$mend"
		else
			item unit false "$about" "$mend"
		fi
	elif is_our_unit; then
		item unit true "$UNIT is botdeploy's"
	else
		item unit true "$UNIT is free"
	fi
	if is_foreign_folder; then
		item place false "$foreign holds files that botdeploy did not write" "move them away, or give the bot another name"
	fi
	if [ "$(stat -c %m "$OPT")" != / ] || { [ -d "$HOME_DIR" ] && [ "$(stat -c %m "$HOME_DIR")" != / ]; }; then
		item boot true "$OPT is a file system of its own: at boot the bot starts after it is mounted"
	fi
}

# check_running: what is known of the unit, where nothing is open; the controller says what that means.
check_running() {
	[ -L "$CURRENT" ] && ! is_open || return 0
	link_of "$CURRENT"
	is_release "$linked" || return 0
	is_running "$linked" || :
	tell_running "\"current\": \"$linked\""
}

# Whose the bot here is, and which machine this is: the controller knows whether that is its own, and
# whether another of its hosts leads here.
check_environment() {
	get "$ROLLOUT" environment
	[ -z "$got" ] || item environment true "$got"
	word_of "$MACHINE"
	! is_id "$got" || item machine true "$got"
}

check_user() {
	run_as
	[ -n "$wanted_user" ] || wanted_user=$user
	if [ "$wanted_user" != "$user" ] && [ -e "$SUDOERS" ]; then
		item user false "setup has prepared $BOT to run as $user, not as $wanted_user" "an administrator can change that: botdeploy setup"
	elif ! id -u "$wanted_user" >/dev/null 2>&1; then
		item user true "$wanted_user will be created, without a shell"
	elif [ "$(id -u "$wanted_user")" -eq 0 ]; then
		item user false "$wanted_user is root" "a bot runs as a user of its own"
	else
		item user true "$wanted_user"
	fi
}

# --- the rehearsal: what a release will want, tried ----------------------------------------------

rehearse() {
	runner=$wanted_user
	id -u "$runner" >/dev/null 2>&1 || runner=nobody
	if [ "$is_root" = no ] || [ ! -d /run/systemd/system ]; then
		each_wanted program has_program
		each_wanted build has_program
		item sandbox false "the unit's sandbox, and what a build needs, were not tried: that needs root's rights" \
			"run once, with an administrator's user: botdeploy setup"
		return
	fi
	work=$(mktemp -d /run/botdeploy-check.XXXXXX) && chmod 0755 "$work" || fault state "cannot write /run"
	tries=0 one=none
	trap 'remove_try; rm -rf "$work"' EXIT
	trap 'exit 3' HUP INT TERM
	rehearse_unit
	case "$NL$wanted" in *"${NL}build="* | *"${NL}module="*) rehearse_build ;; esac
	remove_try
	rm -rf "$work"
	trap - EXIT
}

# each_wanted KEY FUNCTION: call it with each value of the key, where it is plain words.
each_wanted() {
	while IFS= read -r row <&6; do
		case ${row#*=} in '' | *[!A-Za-z0-9_./+@\ -]*) continue ;; esac
		case $row in "$1="*) "$2" "${row#*=}" ;; esac
	done 6<<-EOF
		${wanted%%"$NL$NL"*}
	EOF
}

has_program() { # NAME
	case $1 in
	*/*) [ -x "$1" ] ;;
	*) command -v -- "$1" >/dev/null ;;
	esac || item program false "$1 is not on this host" "install it"
}

# rehearse_unit: the unit as it will be, with the same sandbox, as the same user, in the place where
# the bot will work; only what runs in it is ours.
rehearse_unit() {
	printf '%s\n' "${wanted#*"$NL$NL"}" >"$work/unit"
	run_as
	[ -e "$SUDOERS" ] || user=$wanted_user
	id=check
	if ! check_unit "$work/unit"; then
		item sandbox false "the unit would be refused: $refusal" "change bot: unit:, or the template"
		return
	fi
	place=$OPT
	for folder in "$HOME_DIR" "$CURRENT/" "$CURRENT/tree/"; do [ ! -d "$folder" ] || place=$folder; done
	all_settings >"$work/settings"
	cp "$work/settings" "$work/kept"
	true >"$work/none"
	if ! try_unit "$work/none" /bin/true; then
		item sandbox false "a service of $runner can't start in $place: $why" "look at: namei -l $place"
		return
	fi
	if try_unit "$work/settings" "/bin/echo botdeploy-check-$NONCE"; then
		bots=$UNIT UNIT=$one
		check_rate_limit "$(place_of LogRateLimitBurst)"
		check_line_is_kept
		UNIT=$bots
		item sandbox true "the unit's $(grep -c . <"$work/settings") settings work here"
	else
		find_culprits /bin/true "the bot"
	fi
	each_wanted program try_program
}

# all_settings: those of [Service], of the unit and of the drop-ins that an administrator gave it, but
# those that start something, hand something over or say how long it lasts: "PLACE<tab>NAME=VALUE".
all_settings() {
	set +f
	set -- ${INSTANCE:+"$UNITS/$BOT@.service.d"/*.conf}
	set -- "$work/unit" "$@" /usr/lib/systemd/system/"$UNIT".d/*.conf /run/systemd/system/"$UNIT".d/*.conf "$UNIT_LINK".d/*.conf
	set -f
	for file in "$@"; do
		[ -f "$file" ] || continue
		from=$file
		[ "$file" != "$work/unit" ] || from=unit
		awk -v place="$from" -v shared="ReadWritePaths=$SHARED" -v is_there="$([ -e "$SHARED" ] && printf 1)" '
			{ line = line $0 }
			sub(/\\$/, " ", line) { next }
			{ whole = line; line = ""; sub(/^[ \t]+/, "", whole); sub(/[ \t]*=[ \t]*/, "=", whole) }
			whole ~ /^\[/ { section = whole; next }
			section != "[Service]" || whole !~ /^[A-Z][A-Za-z0-9]*=/ { next }
			whole ~ /^(Exec(Start|Stop|Reload|Condition)|Type=|Restart|RemainAfterExit=|User=|Group=|WorkingDirectory=)/ { next }
			whole ~ /^(EnvironmentFile=|LoadCredential|SetCredential|SuccessExit|Timeout|Watchdog|RuntimeMax|RuntimeRandom)/ { next }
			whole ~ /^(NotifyAccess=|BusName=|PIDFile=|Sockets=|FileDescriptorStore|Slice=|Delegate=|KillMode=|SendSIG|KillSignal=|FinalKill)/ { next }
			whole ~ /^(Runtime|State|Cache|Logs|Configuration)Directory/ { next }
			whole == shared && !is_there { sub(/=/, "=-", whole) }
			{ print place "\t" whole }' "$file"
	done
}

# place_of NAME: the file that has the last word on a setting; nothing where that is the unit.
place_of() {
	got=$(grep "$TAB$1=" "$work/settings" | tail -n 1 | cut -f 1)
	[ "$got" = unit ] || printf %s "$got"
}

# try_unit FILE COMMAND: does the command end well in a unit with these settings? Else what systemd said of
# it, in $why. The unit, $one, stands until the next try. systemd reads a name that is new to it
# without being told to reload.
try_unit() {
	remove_try
	tries=$((tries + 1))
	one=botdeploy-check-$BOT-$$-$tries.service
	{
		printf '[Unit]\nDescription=botdeploy: a try of what %s will need\n' "$BOT"
		printf '[Service]\nType=oneshot\nUser=%s\nWorkingDirectory=%s\nTimeoutStartSec=20\n' "$runner" "$place"
		cut -f 2- "$1"
		printf 'ExecStart=%s\n' "$2"
	} >"/run/systemd/system/$one"
	why=''
	systemctl start "$one" 2>"$work/said" </dev/null && return 0
	status=$(systemctl show -p ExecMainStatus --value "$one" 2>/dev/null)
	journalctl --sync 2>/dev/null
	why=$(journalctl -q -u "$one" -o cat --no-pager 2>/dev/null </dev/null | sed -n 's/^.*Failed at step \([A-Z_]*\) spawning [^:]*: /\1: /p' | tail -n 1)
	why="status $status${why:+, $why}"
	return 1
}

remove_try() {
	[ "$one" != none ] || return 0
	rm -f "/run/systemd/system/$one"
	systemctl reset-failed "$one" 2>/dev/null
	one=none
}

# find_culprits COMMAND WHAT: which settings keep it from ending well; the others are in "kept".
find_culprits() {
	true >"$work/kept"
	while IFS= read -r each <&7; do
		{ cat "$work/kept" && printf '%s\n' "$each"; } >"$work/more"
		if try_unit "$work/more" "$1"; then
			cp "$work/more" "$work/kept"
			continue
		fi
		from=${each%%"$TAB"*} setting=${each#*"$TAB"}
		case $from in
		unit) mend="take it out in the inventory: bot: {unit: {${setting%%=*}: null}}" ;;
		*) mend="take it out of $from, then: systemctl daemon-reload" ;;
		esac
		item sandbox false "$2 can't start here with $setting ($why)" "$mend"
	done 7<"$work/settings"
}

# check_line_is_kept: did what the try said reach the journal, where the bot's sign is looked for?
check_line_is_kept() {
	journalctl --sync 2>/dev/null
	looks=0
	while [ "$looks" -lt 20 ]; do
		journalctl -q -u "$one" -o cat --no-pager 2>/dev/null </dev/null | grep -q "^botdeploy-check-$NONCE\$" && return 0
		looks=$((looks + 1))
		sleep 0.1
	done
	[ "$told_mute" = no ] || return 0
	find_why_mute
	if [ -n "$mute" ]; then
		tell_mute "$(place_of '\(LogNamespace\|StandardOutput\|LogLevelMax\|LogFilterPatterns\)')"
	else
		item lines false "lines of a service with the unit's settings do not reach the journal" "look at: journalctl -u systemd-journald"
	fi
}

try_program() { # NAME
	case $1 in
	*/*) command="/bin/sh -c \"test -x $1\"" ;;
	*) command="/bin/sh -c \"command -v -- $1\"" ;;
	esac
	! try_unit "$work/kept" "$command" || return 0
	if try_unit "$work/none" "$command"; then
		cp "$work/kept" "$work/settings"
		find_culprits "$command" "$1"
	elif [ -e "$1" ]; then
		item program false "$1 is there, but $runner may not run it" "look at: namei -l $1"
	else
		item program false "$1, which the bot's command runs, is not on this host" "install it, or change bot: command:"
	fi
}

# rehearse_build: what a build needs, in a unit as a build has it.
TMP_LEAST=100000000
rehearse_build() {
	apart=no most=0
	[ ! -r /proc/sys/user/max_user_namespaces ] || read -r most </proc/sys/user/max_user_namespaces
	[ "$most" = 0 ] || apart=yes
	# shellcheck disable=SC2016 # for the inner shell
	{
		printf '%s\n' 'folder=$(mktemp -d) && echo "#!/bin/sh" >"$folder/try" && chmod 0700 "$folder/try" || echo unwritable' \
			'"$folder/try" 2>/dev/null || echo noexec' 'rm -rf "$folder"' 'echo "space $(stat -f -c "%a %S" /tmp)"'
		each_wanted build ask_program
		each_wanted module ask_module
	} >"$work/build"
	told=$(systemd-run -q --wait --collect --pipe --unit="botdeploy-check-$BOT-$$-build" -p User="$runner" \
		-p WorkingDirectory=/tmp -p PrivateTmp=yes -p PrivateUsers="$apart" -p NoNewPrivileges=yes \
		-p RuntimeMaxSec=60 -p UMask=0022 -p Environment=HOME=/tmp /bin/sh -s <"$work/build" 2>&1)
	case $told in
	*'space '[0-9]*) ;;
	*)
		item build false "a build can't start here: $(printf %s "$told" | tail -n 1)" "look at: journalctl -u botdeploy-check-$BOT-$$-build"
		return
		;;
	esac
	is_fine=yes
	while read -r word first second; do
		case $word in
		missing) item build false "$first, which the build runs, is not on this host" "install it, or change bot: build:" ;;
		module) item build false "$first has no module $second, which the build runs" "install it (Debian, Ubuntu): apt-get install ${first##*/}-$second" ;;
		unwritable) item tmp false "$runner can't write to /tmp, where a build works" "chmod 1777 /tmp" ;;
		noexec) item tmp false "/tmp is mounted noexec: what a build unpacks there can't run" "mount -o remount,exec $(stat -c %m /tmp), and in /etc/fstab" ;;
		space)
			[ $((first * second)) -lt "$TMP_LEAST" ] || continue
			item tmp false "/tmp: $((first * second / 1000000)) MB free, and a build unpacks and compiles there" "$(print_tmp_mend)"
			;;
		*) continue ;;
		esac
		is_fine=no
	done <<-EOF
		$told
	EOF
	[ "$is_fine" = no ] || item build true "what the build runs is there"
}

print_tmp_mend() {
	if [ "$(stat -f -c %T /tmp)" = tmpfs ]; then
		printf 'mount -o remount,size=1G %s, and in /etc/fstab' "$(stat -c %m /tmp)"
	else
		printf 'free some space: du -xh /tmp | sort -h | tail'
	fi
}

ask_program() {
	case $1 in
	*/*) printf '[ -x %s ] || echo missing %s\n' "$1" "$1" ;;
	*) printf 'command -v -- %s >/dev/null || echo missing %s\n' "$1" "$1" ;;
	esac
}

ask_module() { # INTERPRETER MODULE
	needs=${1#* }
	[ "$needs" != venv ] || needs='venv ensurepip'
	printf '%s -c "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))" %s 2>/dev/null || echo module %s\n' \
		"${1% *}" "$needs" "$1"
}
