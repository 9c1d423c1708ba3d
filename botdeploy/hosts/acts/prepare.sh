# prepare: what a host needs once, before its first release. Cheap when it is there.

prepare_run() {
	[ -d "$RUN" ] || { mkdir -p "$RUN" && chmod 0700 "$RUN"; } 2>/dev/null
	[ -w "$RUN" ] || fault state "cannot write $RUN"
}

prepare() { # USER
	is_name "$1" || fault usage "user is not a user's name"
	[ -d /run/systemd/system ] || fault no-systemd "this host does not run systemd"
	systemctl is-system-running >/dev/null 2>&1 || [ -n "$(systemctl show -p Version 2>/dev/null)" ] ||
		fault no-systemd "systemd does not answer"
	missing_tools
	[ -z "$tools" ] || fault no-tool "missing on this host: $tools"
	for parent in /opt /var/lib "$UNITS"; do
		[ -w "$parent" ] || fault read-only "$parent is not writable"
	done
	if [ -d "$HOME_DIR" ] && [ ! -d "$RELEASES" ] && [ -n "$(ls -A "$HOME_DIR")" ]; then
		fault foreign-folder "$HOME_DIR holds something that botdeploy did not put there; move it away first"
	fi
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
	run_as
	[ "$user" = "$1" ] && [ -e "$STATE/user" ] || printf '%s\n' "$1" | put "$STATE/user" ||
		fault state "cannot write $STATE/user"
	systemd_version
	[ -e "$RUN/systemd" ] || printf '%s\n' "$version" >"$RUN/systemd"
	prepare_boot_unit
}

# The bot's user. Where an administrator has narrowed the rights, only they choose it: whoever may
# deploy could otherwise run a build as anybody.
prepare_user() {
	run_as
	if [ "$user" != "$1" ] && [ "$ACT" != setup ] && [ -e "$SUDOERS" ]; then
		fault user "setup has prepared $BOT to run as $user, not as $1; an administrator changes it by: botdeploy setup"
	fi
	if ! id -u "$1" >/dev/null 2>&1; then
		useradd --system --user-group --no-create-home --home-dir "$HOME_DIR/shared" \
			--shell /usr/sbin/nologin "$1" 2>"$RUN/user.err" || fault user "cannot create the user $1: $(tail -n 1 "$RUN/user.err")"
	fi
	[ "$(id -u "$1")" -ne 0 ] || fault user "a bot does not run as root"
}

# The boot unit puts an unconfirmed release back before the bot's own unit starts. Where /opt is a
# file system of its own, systemd has not seen the bot's unit when it planned the boot: it is also
# the one that loads and starts it then.
boot_unit() {
	cat <<-EOF
		[Unit]
		Description=botdeploy: return $BOT to its proven release when nobody confirmed the new one
		ConditionPathExists=|$STATE/pending
		ConditionPathExists=|$STATE/reverting
		ConditionPathIsMountPoint=|/opt
		ConditionPathIsMountPoint=|$HOME_DIR
		RequiresMountsFor=$HOME_DIR $STATE
		Before=$UNIT

		[Service]
		Type=oneshot
		ExecStart=/bin/sh $PROGRAM - guard boot

		[Install]
		WantedBy=multi-user.target
	EOF
}

prepare_boot_unit() {
	unit=$UNITS/botdeploy-boot-$BOT.service
	wanted=$UNITS/multi-user.target.wants/botdeploy-boot-$BOT.service
	boot_unit | cmp -s - "$unit" && [ -L "$wanted" ] && return 0
	boot_unit | put "$unit" && mkdir -p "${wanted%/*}" && relink "$wanted" "$unit" &&
		sync "${wanted%/*}" && systemctl daemon-reload || fault state "cannot write $unit"
}
