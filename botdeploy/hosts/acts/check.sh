# check: a preflight that changes nothing.
#
#   check [USER]
#
# One record {"check": {"name", "ok", "message", "mend"}} an item. What would only make a rollout
# worse than it could be is ok, with a mend. Without root's rights it tells what it can see.

item() { # NAME OK MESSAGE [MEND]
	quote "$3"
	message=$json
	quote "${4:-}"
	emit "{\"check\": {\"name\": \"$1\", \"ok\": $2, \"message\": $message, \"mend\": $json}}"
}

act_check() {
	wanted_user=${1:-}
	[ -z "$wanted_user" ] || is_name "$wanted_user" || fault usage "user is not a user's name"
	check_rights
	check_systemd
	check_tools
	for folder in /opt /var/lib "$UNITS" /run; do check_folder_space "$folder"; done
	check_journal
	check_clock
	check_names
	check_python
	check_place
	check_user
}

check_rights() {
	if [ "$(id -u)" -eq 0 ]; then
		item root true "acts run as root${SUDO_USER:+ through sudo, for $SUDO_USER}"
	else
		item root false "$(id -un) is not root here" "run once, with an administrator's user: botdeploy setup"
	fi
	if [ -e "$SUDOERS" ]; then item sudo true "the rights are narrowed to botdeploy's program ($SUDOERS)"; fi
}

check_systemd() {
	if [ ! -d /run/systemd/system ]; then
		item systemd false "this host does not run systemd" "botdeploy deploys systemd services only"
		return
	fi
	systemd_version
	if [ "$version" -ge 247 ]; then
		item systemd true "version $version"
	else
		item systemd false "version $version is older than 247" "upgrade the host's distribution"
	fi
}

check_tools() {
	missing_tools
	if [ -z "$tools" ]; then
		item tools true "all there"
	else
		tools=$(printf %s "$tools" | tr -d '",')
		item tools false "missing: $tools" "install coreutils, findutils, diffutils, util-linux, tar, gzip and sed"
	fi
	command -v zstd >/dev/null || item zstd true "not there: uploads are packed by gzip" "install zstd for smaller uploads"
	command -v curl >/dev/null || command -v wget >/dev/null ||
		item curl true "not there: a bot can't be asked over http whether it is ready" "install curl where ready: {http: …} is used"
}

check_folder_space() { # FOLDER
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
	if [ "$1" = /opt ] && [ "$(stat -c %m /opt)" != / ]; then
		! grep -q '^[^ ]* /opt [^ ]* [^ ]*noexec' /proc/mounts ||
			item noexec false "/opt is mounted noexec: no bot could start from it" "mount -o remount,exec /opt, and in /etc/fstab"
	fi
}

check_journal() {
	if ! systemctl is-active -q systemd-journald; then
		item journald false "systemd-journald does not run: a bot started now would be mute for life" "systemctl start systemd-journald"
		return
	fi
	if ! can_read_journal; then
		item journal false "$(id -un) may not read the journal" "usermod -aG systemd-journal $(id -un)"
	elif [ -d /var/log/journal ] && [ -n "$(ls -A /var/log/journal)" ]; then
		item journal true "persistent"
	else
		item journal true "volatile: a reboot takes the evidence away" "mkdir -p /var/log/journal && systemctl restart systemd-journald"
	fi
	journald_settings
	item rate-limit true "journald drops what a unit writes beyond ${burst:-10000} lines in ${interval:-30s} (default 10000 in 30s)" \
		"a bot that writes more: LogRateLimitIntervalSec=1s and LogRateLimitBurst=100000 in bot: unit:"
}

check_clock() {
	command -v timedatectl >/dev/null || return 0
	case $(timeout 5 timedatectl show -p NTPSynchronized --value 2>/dev/null) in
	yes) item clock true "synchronised, $(utc)" ;;
	no) item clock true "not synchronised, $(utc): times in reports may be off" "timedatectl set-ntp true" ;;
	*) item clock true "$(utc)" ;;
	esac
}

check_names() {
	read -r own </proc/sys/kernel/hostname
	if timeout 3 getent hosts "$own" >/dev/null; then return 0; fi
	item hostname true "$own does not know its own name: every sudo may wait for a resolver" "add to /etc/hosts: 127.0.1.1 $own"
}

check_python() {
	if command -v python3 >/dev/null; then
		item python true "$(python3 -V 2>&1)"
	else
		item python true "no python3: only a bot's build or command may want one" "install python3 where the bot needs it"
	fi
}

check_place() {
	if is_foreign_unit; then
		item unit false "$UNITS/$UNIT was not written by botdeploy" \
			"to hand the bot over: systemctl disable --now $UNIT; mv $UNITS/$UNIT $UNITS/$UNIT.before-botdeploy"
	elif [ -e "$UNITS/$UNIT" ]; then
		item unit true "$UNIT is botdeploy's"
	elif [ -n "$(systemctl show -p FragmentPath --value "$UNIT" 2>/dev/null)" ]; then
		item unit false "$UNIT comes with a package: $(systemctl show -p FragmentPath --value "$UNIT")" "give the bot another name"
	else
		item unit true "$UNIT is free"
	fi
	if [ -d "$HOME_DIR" ] && [ ! -d "$RELEASES" ] && [ -n "$(ls -A "$HOME_DIR" 2>/dev/null)" ]; then
		item place false "$HOME_DIR holds something that botdeploy did not put there" "move it away, or give the bot another name"
	fi
	if [ "$(stat -c %m /opt)" != / ] || { [ -d "$HOME_DIR" ] && [ "$(stat -c %m "$HOME_DIR")" != / ]; }; then
		item boot true "/opt is a file system of its own: at boot the bot starts after it is mounted"
	fi
}

check_user() {
	run_as
	[ -n "$wanted_user" ] || wanted_user=$user
	if [ "$wanted_user" != "$user" ] && [ -e "$SUDOERS" ]; then
		item user false "setup has prepared $BOT to run as $user, not as $wanted_user" "an administrator changes it by: botdeploy setup"
	elif ! id -u "$wanted_user" >/dev/null 2>&1; then
		item user true "$wanted_user will be created, without a shell"
	elif [ "$(id -u "$wanted_user")" -eq 0 ]; then
		item user false "$wanted_user is root" "a bot runs as a user of its own"
	else
		item user true "$wanted_user"
	fi
}
