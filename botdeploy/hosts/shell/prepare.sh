# prepare: what a host needs once, before its first release. Cheap when it is there.

prepare_run() {
	[ -d "$RUN" ] || { mkdir -p "$RUN" && chmod 0700 "$RUN"; } 2>/dev/null
	[ -w "$RUN" ] || fault state "cannot write $RUN"
	put_aside "$RUN"
}

# put_aside FOLDER: a little space for what must be written when somebody has filled the disk.
put_aside() {
	[ -e "$1/reserve" ] && return 0
	head -c 65536 /dev/zero >"$1/reserve" 2>/dev/null && [ "$(stat -c %s "$1/reserve")" = 65536 ] || rm -f "$1/reserve"
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
	for parent in /opt /var/lib "$UNITS"; do
		[ -w "$parent" ] || fault read-only "$parent is not writable"
	done
	if [ -d "$HOME_DIR" ] && [ ! -d "$RELEASES" ] && [ -n "$(ls -A "$HOME_DIR")" ]; then
		fault foreign-folder "$HOME_DIR holds something that botdeploy did not put there; move it away first"
	fi
	[ "${kind:-}" = rollback ] || refuse_foreign
	prepare_user "$1"
	mkdir -p "$RELEASES" && chown root:root "$HOME_DIR" "$RELEASES" && chmod 0755 "$HOME_DIR" "$RELEASES" ||
		fault state "cannot create $RELEASES"
	if [ ! -d "$HOME_DIR/shared" ]; then
		mkdir -p "$HOME_DIR/shared" && chown "$1:" "$HOME_DIR/shared" && chmod 0750 "$HOME_DIR/shared" ||
			fault state "cannot create $HOME_DIR/shared"
	fi
	if ! { [ -d "$STATE/proven" ] && [ -d "$STATE/quarantine" ] && [ -d "$STATE/evidence" ] && [ -d "$STATE/approved" ]; }; then
		mkdir -p "$STATE/proven" "$STATE/quarantine" "$STATE/evidence" "$STATE/approved" &&
			chmod 0700 /var/lib/botdeploy "$STATE" || fault state "cannot create $STATE"
	fi
	put_aside "$STATE"
	run_as
	[ "$user" = "$1" ] && [ -e "$STATE/user" ] || printf '%s\n' "$1" | put "$STATE/user" ||
		fault state "cannot write $STATE/user"
	systemd_version
	[ -e "$RUN/systemd" ] || printf '%s\n' "$version" >"$RUN/systemd"
	prepare_units
}

# The bot's user. Where an administrator has narrowed the rights, only they choose it: whoever may
# deploy could otherwise run a build as anybody.
prepare_user() {
	run_as
	if [ "$user" != "$1" ] && [ "$ACT" != setup ] && [ -e "$SUDOERS" ]; then
		fault user "setup has prepared $BOT to run as $user, not as $1; an administrator changes it by: botdeploy setup"
	fi
	if ! id -u "$1" >/dev/null 2>&1; then
		said=$(useradd --system --user-group --no-create-home --home-dir "$HOME_DIR/shared" \
			--shell /usr/sbin/nologin "$1" 2>&1) || fault user "cannot create the user $1: ${said##*"$NL"}"
	fi
	[ "$(id -u "$1")" -ne 0 ] || fault user "a bot does not run as root"
}

# our_units: what stands among systemd's units as long as the bot does, in $boot_unit, $guard_unit and
# $guard_path. The boot unit puts an unconfirmed release back before the bot's own unit starts. Where
# /opt is a file system of its own, systemd has not seen the bot's unit when it planned the boot: it is
# also the one that loads and starts it then. The path unit starts the guard for as long as something
# is open, whatever ended it: a stop, a signal, a boot at which a disk could not be written. A disk
# that is not there at boot keeps both from starting, or leaves nothing for them to see: then the
# guard is what waits for it. Nothing of these runs where nothing is open and all disks are there.
our_units() {
	boot_unit="[Unit]
Description=botdeploy: return $BOT to its proven release when nobody confirmed the new one
ConditionPathExists=|$STATE/pending
ConditionPathExists=|$STATE/reverting
ConditionPathIsMountPoint=|/opt
ConditionPathIsMountPoint=|$HOME_DIR
ConditionPathExists=|!$HOME_DIR
ConditionPathExists=|!$STATE
RequiresMountsFor=$HOME_DIR $STATE
OnFailure=$GUARD.service
Before=$UNIT

[Service]
Type=oneshot
ExecStart=/bin/sh $PROGRAM - guard boot

[Install]
WantedBy=multi-user.target"
	guard_unit="[Unit]
Description=botdeploy: switch of $BOT, kept only if confirmed
After=botdeploy-boot-$BOT.service
StartLimitIntervalSec=0
CollectMode=inactive-or-failed

[Service]
ExecStart=/bin/sh $PROGRAM - guard run
Restart=on-failure
RestartSec=2
OOMScoreAdjust=-900
TimeoutStopSec=5"
	guard_path="[Unit]
Description=botdeploy: start the guard of $BOT while a switch or a return is open
StartLimitIntervalSec=0

[Path]
PathExists=$STATE/pending
PathExists=$STATE/reverting

[Install]
WantedBy=multi-user.target"
}

# units_stand: are they there as they should be?
units_stand() {
	our_units
	[ "$(cat "$UNITS/botdeploy-boot-$BOT.service" "$UNITS/$GUARD.service" "$UNITS/$GUARD.path" 2>/dev/null)" = \
		"$boot_unit$NL$guard_unit$NL$guard_path" ] &&
		[ -L "$UNITS/multi-user.target.wants/botdeploy-boot-$BOT.service" ] &&
		[ -L "$UNITS/multi-user.target.wants/$GUARD.path" ]
}

prepare_units() {
	if ! units_stand || [ -e "$RUN/reload" ]; then
		: >"$RUN/reload" || fault state "cannot write $RUN"
		mkdir -p "$UNITS/multi-user.target.wants" || fault state "cannot write $UNITS"
		put_unit "$GUARD.service" "$guard_unit"
		put_unit "$GUARD.path" "$guard_path"
		put_unit "botdeploy-boot-$BOT.service" "$boot_unit"
		for unit in "$GUARD.path" "botdeploy-boot-$BOT.service"; do
			relink "$UNITS/multi-user.target.wants/$unit" "$UNITS/$unit" || fault state "cannot write $UNITS"
		done
		sync "$UNITS/multi-user.target.wants" && systemctl daemon-reload || fault state "cannot write $UNITS"
		rm -f "$RUN/reload"
	fi
	[ "$watched" = yes ] || watch_marks
}

put_unit() { # NAME TEXT
	# Whoever masked it does not want that anything goes back; a switch would rely on it.
	[ "$(readlink "$UNITS/$1" 2>/dev/null)" != /dev/null ] ||
		fault masked "$1 is masked on this host, and without it nothing goes back by itself: systemctl unmask $1; nothing was changed"
	printf '%s\n' "$2" | put "$UNITS/$1" || fault state "cannot write $UNITS/$1"
}

# watch_marks: have systemd start the guard whenever something is open. A rollback does without.
watch_marks() {
	said=$(systemctl start "$GUARD.path" 2>&1) || [ "${kind:-}" = rollback ] ||
		fault guard "cannot start $GUARD.path, and without it a host may not go back by itself: ${said%%"$NL"*}"
}
