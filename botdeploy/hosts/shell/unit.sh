# unit: which unit files a release may bring. Whoever may deploy the bot chooses the unit's text, and
# systemd reads it as root: without this list they were root. Everything that is not named here is
# refused; an administrator who wants more puts it into a drop-in of their own,
# /etc/systemd/system/BOT.service.d/*.conf, which no release can touch.
#
# The list is documented in docs/security.md; a test compares the two. Used by stage and check; writes nothing.

# Directives whose every value only takes rights away, sets a time or a limit, or names an ordering.
FREE="Description Documentation After StartLimitIntervalSec StartLimitBurst
Environment UnsetEnvironment SyslogIdentifier SyslogLevelPrefix LogRateLimitIntervalSec LogRateLimitBurst
Restart RestartSec RestartSteps RestartMaxDelaySec RestartPreventExitStatus RestartForceExitStatus
SuccessExitStatus TimeoutSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec RuntimeMaxSec
RuntimeRandomizedExtraSec WatchdogSec WatchdogSignal KillSignal RestartKillSignal IgnoreSIGPIPE NotifyAccess
UMask LimitNOFILE LimitNPROC LimitCORE LimitAS LimitCPU LimitDATA LimitFSIZE LimitRSS LimitSTACK
MemoryAccounting MemoryMin MemoryLow MemoryHigh MemoryMax MemorySwapMax CPUAccounting CPUWeight CPUQuota
CPUQuotaPeriodSec AllowedCPUs IOAccounting IOWeight TasksAccounting TasksMax OOMPolicy IPAccounting
IPAddressAllow IPAddressDeny NoNewPrivileges ProtectSystem ProtectHome PrivateTmp PrivateDevices
PrivateNetwork PrivateUsers PrivateIPC PrivateMounts ProtectKernelTunables ProtectKernelModules
ProtectKernelLogs ProtectControlGroups ProtectClock ProtectHostname ProtectProc ProcSubset
RestrictNamespaces RestrictRealtime RestrictSUIDSGID RestrictAddressFamilies RestrictFileSystems
RestrictNetworkInterfaces LockPersonality MemoryDenyWriteExecute RemoveIPC KeyringMode
SystemCallArchitectures SystemCallFilter SystemCallErrorNumber SystemCallLog CapabilityBoundingSet
DevicePolicy InaccessiblePaths ReadOnlyPaths ReadWritePaths NoExecPaths ExecPaths
RuntimeDirectoryMode StateDirectoryMode CacheDirectoryMode LogsDirectoryMode RuntimeDirectoryPreserve"

# check_unit FILE: 0, or 1 with the reason in $refusal. ID is the release that brings it.
check_unit() {
	refusal='' section='' users='' starts=0 number=0
	[ "$(stat -c %s "$1")" -le 65536 ] || refusal="the unit is larger than 64 KB"
	[ "$(tr -d '\001-\010\013-\037\177' <"$1" | tr -d '\000' | cksum)" = "$(cksum <"$1")" ] ||
		refusal="the unit holds control characters"
	[ -z "$refusal" ] || return 1
	while read -r line || [ -n "$line" ]; do # without the blanks around it
		number=$((number + 1))
		case $line in
		'' | '#'* | ';'*) continue ;;
		*[\\]) refuse "a line that continues in the next one" ;;
		'[Unit]' | '[Service]' | '[Install]') section=$line ;;
		[A-Z]*=*) check_directive "${line%%=*}" "${line#*=}" ;;
		*) refuse "a line that is not a directive: $line" ;;
		esac
		[ -z "$refusal" ] || return 1
	done <"$1"
	[ -n "$users" ] || refusal="the unit needs User=$user"
	[ "$starts" -gt 0 ] || refusal="the unit has no ExecStart="
	[ -z "$refusal" ]
}

refuse() { refusal="line $number of the unit: $1 is not allowed; an administrator may put it into $UNITS/$UNIT.d/"; }

check_directive() { # NAME VALUE
	name=$1 value=$2
	case $name in *[!A-Za-z0-9]*) refuse "$name" && return ;; esac
	case $value in [\ $TAB]*) refuse "a blank after $name=" && return ;; esac
	case $section:$name in
	"[Unit]:Description" | "[Unit]:Documentation" | "[Unit]:After" | "[Unit]:StartLimit"*) check_free ;;
	"[Unit]:Wants" | "[Unit]:Requires")
		for other in $value; do
			case $other in
			network.target | network-online.target | nss-lookup.target | time-sync.target | local-fs.target | remote-fs.target) ;;
			*) refuse "$name=$other" ;;
			esac
		done
		;;
	"[Install]:WantedBy") [ "$value" = multi-user.target ] || refuse "$name=$value" ;;
	"[Service]:After" | "[Service]:Before" | "[Service]:Description" | "[Service]:Documentation") refuse "$name in [Service]" ;;
	"[Service]:"*) check_service ;;
	*) refuse "$name in ${section:-no section}" ;;
	esac
}

check_free() {
	for free in $FREE; do
		[ "$free" != "$name" ] || return 0
	done
	refuse "$name="
}

check_service() {
	case $name in
	Type) must_be_one_of simple exec notify notify-reload ;;
	User)
		must_be_one_of "$user"
		users="$users $value"
		;;
	Group) must_be_one_of "$user" ;;
	ExecStart)
		check_command
		starts=$((starts + 1))
		;;
	ExecStartPre | ExecStartPost | ExecStop | ExecStopPost | ExecReload | ExecCondition) check_command ;;
	WorkingDirectory)
		if [ -n "$INSTANCE" ]; then must_be_below "$HOME_DIR/" "$TREES/"; else must_be_below "$HOME_DIR/"; fi
		;;
	EnvironmentFile) must_be_one_of "$RELEASES/$id/.botdeploy/environment" "$CURRENT/.botdeploy/environment" ;;
	LoadCredential)
		credential=${value%%:*}
		is_id "$credential" || refuse "$name=$value"
		must_be_one_of "$credential:$RELEASES/$id/.botdeploy/credentials/$credential" \
			"$credential:$CURRENT/.botdeploy/credentials/$credential"
		;;
	KillMode) must_be_one_of control-group mixed ;;
	StandardInput) must_be_one_of null ;;
	StandardOutput | StandardError) must_be_one_of journal inherit ;;
	SendSIGKILL) must_be_one_of yes true ;;
	AmbientCapabilities) must_be_one_of CAP_NET_BIND_SERVICE '' ;;
	Nice) must_be_one_of 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ;;
	OOMScoreAdjust)
		is_number "$value" || refuse "$name=$value"
		;;
	IOSchedulingClass) must_be_one_of best-effort idle ;;
	RuntimeDirectory | StateDirectory | CacheDirectory | LogsDirectory) check_folder ;;
	*) check_free ;;
	esac
}

must_be_one_of() { # VALUE ...: the value is one of these
	for allowed in "$@"; do
		[ "$value" != "$allowed" ] || return 0
	done
	refuse "$name=$value"
}

must_be_below() { # PREFIX ...: a path there, without specifiers or ways up
	case $value in *..* | *%*) refuse "$name=$value" && return ;; esac
	for allowed in "$@"; do
		case $value in "$allowed"*) return 0 ;; esac
	done
	refuse "$name=$value"
}

# No prefix ("+" and "!" run it as root), also not one in quotes or escaped, and no second command.
check_command() {
	case $value in
	'') return 0 ;; # takes back the ones before
	/*) ;;
	*) refuse "$name=$value (it must begin with the program's path)" ;;
	esac
	case " $(printf %s "$value" | tr '\t' ' ') " in *' ; '*) refuse "$name with a second command" ;; esac
}

# systemd gives such a folder, with all that it holds, to the unit's user: only the bot's own. Nothing
# below it: the bot could have put a link there, and systemd would hand over what lies behind it.
check_folder() {
	case $name in
	RuntimeDirectory) root=/run ;;
	StateDirectory) root=/var/lib ;;
	CacheDirectory) root=/var/cache ;;
	*) root=/var/log ;;
	esac
	must_be_one_of "$NAME"
	[ ! -e "$root/$NAME" ] || [ "$(stat -c %U "$root/$NAME")" = "$user" ] || refuse "$name=$value ($root/$NAME belongs to another user)"
}
