# prepare: what a host needs once, before its first release. Cheap when it is there.
# Used by enter and setup. It writes the folders of places, the bot's user and our units.

NEEDED="awk flock systemd-run systemctl journalctl sha256sum tar gzip find sort comm cmp xargs base64 runuser stat sed sync"

prepare_run() {
	[ -d "$RUN_DIR" ] || { mkdir -p "$ALL_RUN" && (umask 077 && mkdir -p "$RUN_DIR"); } 2>/dev/null
	[ -w "$RUN_DIR" ] || fault state "cannot write $RUN_DIR"
	keep_reserve "$RUN_DIR"
}

# missing_tools: what an act needs and the host has not, in $tools.
missing_tools() {
	tools=''
	for tool in $NEEDED ${INSTANCE:+unshare mount}; do
		command -v "$tool" >/dev/null || tools="$tools${tools:+, }$tool"
	done
}

prepare() { # USER
	is_name "$1" || fault usage "user is not a user's name"
	[ -d /run/systemd/system ] || fault no-systemd "this host does not run systemd"
	watched=no
	if systemctl is-active -q "$GUARD.path"; then
		watched=yes
	elif [ -z "$(systemctl show -p Version 2>/dev/null)" ]; then
		fault no-systemd "systemd does not answer"
	fi
	missing_tools
	[ -z "$tools" ] || fault no-tool "missing on this host: $tools"
	for parent in "$OPT" "$VAR_LIB" "$UNITS"; do
		[ -w "$parent" ] || fault read-only "$parent is not writable"
	done
	! is_foreign_folder || fault foreign-folder "$foreign holds files that botdeploy did not write; move them away first"
	[ "${kind:-}" = rollback ] || refuse_foreign
	prepare_user "$1"
	mkdir -p "$RELEASES" && chown root:root "$HOME_DIR" "$RELEASES" && chmod 0755 "$HOME_DIR" "$RELEASES" ||
		fault state "cannot create $RELEASES"
	[ -z "$INSTANCE" ] || prepare_store
	if [ ! -d "$SHARED" ] && ! { [ -n "${predecessor:-}" ] && [ "$form" = "${INSTANCE:--}" ]; }; then # see succession
		owner=$1:
		[ -z "$INSTANCE" ] || owner=root:$(id -gn "$1") # see mounts
		mkdir -p "$SHARED" && chown "$owner" "$SHARED" && chmod 0750 "$SHARED" ||
			fault state "cannot create $SHARED"
	fi
	if ! { [ -d "$PROVEN" ] && [ -d "$QUARANTINE" ] && [ -d "$EVIDENCE" ] && [ -d "$APPROVED" ]; }; then
		mkdir -p "$PROVEN" "$QUARANTINE" "$EVIDENCE" "$APPROVED" &&
			chmod 0700 "${BOT_STATE%/*}" "$BOT_STATE" "$STATE" || fault state "cannot create $STATE"
	fi
	keep_reserve "$STATE"
	run_as
	[ "$user" = "$1" ] && [ -e "$BOT_USER" ] || printf '%s\n' "$1" | put "$BOT_USER" ||
		fault state "cannot write $BOT_USER"
	prepare_units
}

# is_foreign_folder: does somebody else's folder have the bot's name? It is in $foreign. What retire has left
# is ours: the data, and an audit log that says so.
is_foreign_folder() {
	is_strange_folder "$BOT_HOME" "$BOT_STATE/audit.jsonl" || { [ -n "$INSTANCE" ] && is_strange_folder "$HOME_DIR" "$AUDIT"; }
}

is_strange_folder() { # FOLDER AUDIT
	foreign=$1 left=releases
	[ -d "$1" ] && [ ! -d "$1/releases" ] || return 1
	[ ! -e "$2" ] || left=shared
	[ -n "$(find "$1" -mindepth 1 -maxdepth 1 ! -name instances ! -name trees ! -name "$left" -print -quit)" ]
}

# prepare_store: the folders that all instances have in common. Only root puts anything into them.
prepare_store() {
	mkdir -p "$TREES" "$INSTANCES" && chown root:root "$BOT_HOME" "$TREES" "$INSTANCES" &&
		chmod 0755 "$BOT_HOME" "$TREES" "$INSTANCES" || fault state "cannot create $TREES"
}

# The bot's user. Where an administrator has narrowed the rights, only they choose it: whoever may
# deploy could otherwise run a build as anybody.
prepare_user() {
	run_as
	if [ "$user" != "$1" ] && [ "$ACT" != setup ] && [ -e "$SUDOERS" ]; then
		fault user "setup has prepared $BOT to run as $user, not as $1; an administrator can change that: botdeploy setup"
	fi
	if [ "$user" != "$1" ] && [ -e "$BOT_USER" ]; then need_only_instance "$1"; fi
	if ! id -u "$1" >/dev/null 2>&1; then
		home=$SHARED
		[ -z "$INSTANCE" ] || home=$BOT_HOME
		said=$(useradd --system --user-group --no-create-home --home-dir "$home" \
			--shell /usr/sbin/nologin "$1" 2>&1) || fault user "cannot create the user $1: ${said##*"$NL"}"
	fi
	[ "$(id -u "$1")" -ne 0 ] || fault user "a bot must not run as root"
}

# need_only_instance USER: all instances of a bot have one user; while others stand it is not changed.
need_only_instance() {
	other=$(each_prepared name_other "$INSTANCE")
	[ -z "$other" ] || fault other-user "$BOT runs as $user on this host, not as $1, and other instances of it stand here ($other): all have one user"
}

# our_units: our own units, beside the bot's, in $boot_unit, $guard_unit and
# $guard_path. The boot unit puts an unconfirmed release back before the bot's own unit starts. Where
# /opt is a file system of its own, systemd has not seen the bot's unit when it planned the boot: it is
# also the one that loads and starts it then. The path unit starts the guard for as long as something
# is open, whatever ended it: a stop, a signal, a boot at which a disk could not be written. A disk
# that is not there at boot keeps both from starting, or leaves nothing for them to see: then the
# guard is what waits for it. Nothing of these runs where nothing is open and all disks are there.
our_units() {
	guard_act=guard${INSTANCE:+@$INSTANCE} more_places=${INSTANCE:+ $TREES}
	boot_unit="[Unit]
Description=botdeploy: return $NAME to its proven release when nobody confirmed the new one
ConditionPathExists=|$PENDING
ConditionPathExists=|$REVERTING
ConditionPathIsMountPoint=|$OPT
ConditionPathIsMountPoint=|$HOME_DIR
ConditionPathExists=|!$HOME_DIR
ConditionPathExists=|!$STATE
RequiresMountsFor=$HOME_DIR $STATE$more_places
OnFailure=$GUARD.service
Before=$UNIT

[Service]
Type=oneshot
ExecStart=/bin/sh $PROGRAM - $guard_act boot

[Install]
WantedBy=multi-user.target"
	guard_unit="[Unit]
Description=botdeploy: switch of $NAME, kept only if confirmed
After=$BOOT_UNIT
StartLimitIntervalSec=0
CollectMode=inactive-or-failed

[Service]
ExecStart=/bin/sh $PROGRAM - $guard_act run
Restart=on-failure
RestartSec=2
OOMScoreAdjust=-900
TimeoutStopSec=5"
	guard_path="[Unit]
Description=botdeploy: start the guard of $NAME while a switch or a return is open
StartLimitIntervalSec=0

[Path]
PathExists=$PENDING
PathExists=$REVERTING

[Install]
WantedBy=multi-user.target"
}

# units_stand: are they there as they should be?
units_stand() {
	our_units
	[ "$(cat "$UNITS/$BOOT_UNIT" "$UNITS/$GUARD.service" "$UNITS/$GUARD.path" 2>/dev/null)" = \
		"$boot_unit$NL$guard_unit$NL$guard_path" ] &&
		[ -L "$WANTED/$BOOT_UNIT" ] &&
		[ -L "$WANTED/$GUARD.path" ]
}

prepare_units() {
	if ! units_stand || [ -e "$RELOAD_DUE" ]; then
		true >"$RELOAD_DUE" || fault state "cannot write $RUN_DIR"
		mkdir -p "$WANTED" || fault state "cannot write $UNITS"
		put_unit "$GUARD.service" "$guard_unit"
		put_unit "$GUARD.path" "$guard_path"
		put_unit "$BOOT_UNIT" "$boot_unit"
		for unit in "$GUARD.path" "$BOOT_UNIT"; do
			relink "$WANTED/$unit" "$UNITS/$unit" || fault state "cannot write $UNITS"
		done
		sync "$WANTED" && systemctl daemon-reload || fault state "cannot write $UNITS"
		rm -f "$RELOAD_DUE"
	fi
	[ "$watched" = yes ] || watch_marks
}

put_unit() { # NAME TEXT
	# Whoever masked it does not want that anything goes back, but a switch relies on it.
	[ "$(readlink "$UNITS/$1" 2>/dev/null)" != /dev/null ] ||
		fault masked "$1 is masked on this host, and a host needs it to go back to the earlier release: systemctl unmask $1; nothing was changed"
	printf '%s\n' "$2" | put "$UNITS/$1" || fault state "cannot write $UNITS/$1"
}

# watch_marks: have systemd start the guard whenever something is open. A rollback does without.
watch_marks() {
	said=$(systemctl start "$GUARD.path" 2>&1) || [ "${kind:-}" = rollback ] ||
		fault guard "cannot start $GUARD.path, and a host needs it to go back to the earlier release: ${said%%"$NL"*}"
}
