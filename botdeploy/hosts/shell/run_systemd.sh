# run_systemd: the bot as a systemd service: what runs, whose the unit is, start it, stop it, prove it dead.
# Used by all acts that look at the bot or change it. It writes LOADED, and starts and stops the unit.

# --- what runs -----------------------------------------------------------------------------------

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
	is_release "$running" && return 0
	get "$STARTED" "$InvocationID"
	running=$got
	is_release "$running" && return 0
	place=$RELEASES
	[ -z "$INSTANCE" ] || place=$TREES
	running=$(readlink "/proc/$MainPID/cwd" 2>/dev/null)
	case $running in
	"$place"/*) ;;
	*) running=$(sed -n "s|^.* \($place/[^/]*\)/.*|\1/|p" "/proc/$MainPID/maps" 2>/dev/null | head -n 1) ;;
	esac
	running=${running#"$place"/} running=${running%%/*}
	[ -z "$INSTANCE" ] || find_release_of "$running"
	is_release "$running" || running=''
}

# find_release_of TREE: the release of this instance that has the tree, in $running: the current one, or the
# only one. Where several have it, that is not told.
find_release_of() {
	running='' has_tree=''
	is_digest "$1" || return 0
	link_of "$CURRENT/tree"
	if [ "$linked" = "$1" ]; then
		link_of "$CURRENT"
		running=$linked
		return
	fi
	set +f
	for folder in "$RELEASES"/*; do
		link_of "$folder/tree"
		[ "$linked" != "$1" ] || has_tree="$has_tree ${folder##*/}"
	done
	set -f
	case $has_tree in ' '*' '*) ;; *) running=${has_tree# } ;; esac
}

# unit_pids GROUP: every process in the unit's control group, children and grandchildren too.
unit_pids() {
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ -d "$root$1" ] || continue
		find "$root$1" -name cgroup.procs -exec cat {} + 2>/dev/null
		return 0
	done
}

# is_running RELEASE: is the unit active, with a living main process of this release (or of one that nobody
# can tell)? Sets what unit_state and running_release set.
is_running() {
	unit_state
	running_release
	case $ActiveState in active | reloading | refreshing) ;; *) return 1 ;; esac
	[ "$MainPID" -gt 0 ] && { [ -z "$running" ] || [ "$running" = "$1" ]; }
}

# read_who_ended: of a unit that is down, who ended its last life, in $ended_by: "person" where systemd
# was asked to stop it, "itself", or nothing where the journal does not tell. Call after unit_state.
read_who_ended() {
	ended_by=''
	case $ActiveState in inactive | failed) ;; *) return 0 ;; esac
	[ -L "$CURRENT" ] || return 0
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
	# The last line of the output: what the bot wrote stands before it, whatever it looks like.
	journalctl -q -m -u "$UNIT" -n 1 -o cat --show-cursor 2>/dev/null | sed -n '$s/^-- cursor: //p'
}

# run_as: the user that the bot runs as, in $user.
run_as() {
	word_of "$BOT_USER"
	user=$got
	is_name "$user" || user=$BOT
}

# tell_running MEMBERS: a record of these and what is known of the unit.
tell_running() {
	printf '@@%s {%s, "unit": {' "$NONCE" "$1"
	unit_facts
	printf '}}\n'
}

# unit_facts: what is known of the unit, as members of a JSON object. Call after running_release.
unit_facts() {
	read_who_ended
	get "$RESULT" restarts
	is_number "$got" || got=0
	printf '"running": "%s", "active_state": "%s", "sub_state": "%s", "restarts": %s, "restarts_before": %s' \
		"$running" "$ActiveState" "$SubState" "$NRestarts" "$got"
	printf ', "result": "%s", "status": %s, "invocation": "%s", "active_since_us": %s, "main_pid": %s' \
		"$Result" "$ExecMainStatus" "$InvocationID" "$ActiveEnterTimestampMonotonic" "$MainPID"
	case $Job in '' | 0) start_due=false ;; *) start_due=true ;; esac
	printf ', "start_due": %s, "restart": "%s", "ended_by": "%s", "enabled": %s, "pids": [%s]' \
		"$start_due" "$Restart" "$ended_by" "$(is_enabled && printf true || printf false)" \
		"$([ -z "$ControlGroup" ] || unit_pids "$ControlGroup" | head -n 1000 | paste -s -d ,)"
}

# is_enabled: will the bot start at the next boot?
is_enabled() { is_our_unit && [ -L "$WANTED/$UNIT" ]; }

# --- whose the unit is ---------------------------------------------------------------------------

is_our_unit() { [ "$(readlink "$UNIT_LINK" 2>/dev/null)" = "$UNIT_FILE" ]; }

# is_foreign_unit: is there a unit of the bot's name that somebody else wrote? Its path in $foreign. Ours
# is UNIT_LINK; elsewhere stand those of packages, of generators, and the aliases of both.
is_foreign_unit() {
	for foreign in /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient \
		/run/systemd/generator.early "$UNITS" /etc/systemd/system.attached /run/systemd/system \
		/run/systemd/system.attached /run/systemd/generator /usr/local/lib/systemd/system \
		/usr/lib/systemd/system /lib/systemd/system /run/systemd/generator.late; do
		template=$foreign/$BOT@.service foreign=$foreign/$UNIT
		if [ -e "$foreign" ] || [ -L "$foreign" ]; then
			[ "$foreign" = "$UNIT_LINK" ] && is_our_unit || return 0
		fi
		if [ -n "$INSTANCE" ] && { [ -e "$template" ] || [ -L "$template" ]; }; then
			foreign=$template
			return 0
		fi
	done
	foreign=''
	return 1
}

# about_foreign: what it is, in $about and $kind_of, and what to do about it, in $mend. A unit that a
# person has masked is nobody else's: that person wants the bot not to run.
about_foreign() {
	data='' kind_of=foreign-unit
	case $(readlink "$foreign"):$foreign in
	/dev/null:*)
		case $foreign in /run/*) mend="systemctl unmask --runtime $UNIT" ;; *) mend="systemctl unmask $UNIT" ;; esac
		kind_of=masked about="$UNIT is masked on this host ($foreign), so it cannot run"
		return
		;;
	esac
	case $foreign in
	"$UNITS/$BOT@.service")
		mend="stop and disable what it runs, and move it away: mv $foreign $foreign.before-botdeploy; or give the bot another name"
		;;
	"$UNITS"/*)
		mend="to hand the bot over: systemctl disable --now $UNIT; mv $foreign $foreign.before-botdeploy"
		foreign_data
		;;
	*) mend="a package or a generator brings it: give the bot another name" ;;
	esac
	about="$foreign was not written by botdeploy${data:+. $data}"
}

# foreign_data: where a unit that somebody else wrote may keep its data, and where that belongs, in $data:
# its working and state folders, and what its main process has open for writing now.
foreign_data() {
	places='' count=0
	folder=$(systemctl show -p WorkingDirectory --value "$UNIT" 2>/dev/null)
	case ${folder#!} in /*) places=", ${folder#!} (WorkingDirectory)" ;; esac
	for folder in $(systemctl show -p StateDirectory --value "$UNIT" 2>/dev/null); do
		places="$places, $VAR_LIB/$folder (StateDirectory)"
	done
	pid=$(systemctl show -p MainPID --value "$UNIT" 2>/dev/null)
	is_number "$pid" || pid=0
	while read -r number file; do
		case $file in /dev/* | /proc/* | /sys/* | /run/* | *' (deleted)') continue ;; /*) ;; *) continue ;; esac
		case $(sed -n 's/^flags:[[:space:]]*//p' "/proc/$pid/fdinfo/$number" 2>/dev/null) in *[12]) ;; *) continue ;; esac
		case $places, in *", $file (open),"*) continue ;; esac
		[ -f "$file" ] && [ "$count" -lt 5 ] || continue
		places="$places, $file (open)" count=$((count + 1))
	done <<-EOF
		$([ "$pid" = 0 ] || find "/proc/$pid/fd" -mindepth 1 -printf '%f %l\n' 2>/dev/null)
	EOF
	data="Move its data below $SHARED, to the paths that bot.shared names. Otherwise the bot starts without data"
	[ -z "$places" ] || data="Its data may be in ${places#, }. $data"
}

# refuse_foreign: end the act where the bot's unit would hide somebody else's. Where ours stands already
# it goes on: check tells of the other one.
refuse_foreign() {
	! is_our_unit && is_foreign_unit || return 0
	about_foreign
	fault "$kind_of" "$about; $mend"
}

can_read_journal() {
	[ "$(id -u)" -eq 0 ] && return 0
	[ -n "$(journalctl -q -n 1 -o cat 2>/dev/null)" ]
}

# --- start and stop ------------------------------------------------------------------------------

# needs_reload RELEASE: must systemd read the unit again? Sets reload. Reading all units takes many times
# as long as the rest of a restart, and a release rarely changes its unit. systemd itself knows of drop-ins
# that changed, but not of the first one in a folder that it has not seen yet.
needs_reload() {
	reload=yes
	[ -n "$1" ] && [ "$LoadState" = loaded ] && [ "$NeedDaemonReload" = no ] && [ -r "$LOADED" ] || return 0
	[ -z "$(find "$UNITS" /run/systemd/system -maxdepth 2 -path '*.service.d*' -newer "$LOADED" 2>/dev/null)" ] || return 0
	! directives_of "$1" | cmp -s - "$LOADED" || reload=no
}

directives_of() { sed '/^[#;]/d' "$RELEASES/$1/.botdeploy/$UNIT"; }

reload_unit() { # RELEASE
	rm -f "$LOADED"
	systemctl daemon-reload || return 1
	[ -z "$1" ] || { directives_of "$1" >"$LOADED.new.$$" && mv -T "$LOADED.new.$$" "$LOADED"; } ||
		rm -f "$LOADED.new.$$"
}

# start_bot: have systemd start the unit; what it says when it refuses is in $said.
start_bot() { said=$(systemctl start --no-block "$UNIT" 2>&1); }

# stop_bot GROUP: stop the unit and prove its control group empty. Never start anything after a failure.
# Call after unit_state; that it may be out of date is what the proof is for.
stop_bot() {
	case $ActiveState in
	inactive | failed) ;;
	*) timeout 960 systemctl stop "$UNIT" 2>/dev/null && is_group_gone "$1" && return 0 ;;
	esac
	is_unit_dead "$1" && return 0
	systemctl kill -s KILL --kill-who=all "$UNIT" 2>/dev/null
	tries=0
	while [ "$tries" -lt 100 ]; do
		is_unit_dead "$1" && return 0
		for pid in $(unit_pids "$1"); do kill -KILL "$pid" 2>/dev/null; done
		sleep 0.1
		tries=$((tries + 1))
	done
	return 1
}

# is_group_gone GROUP: the kernel removes a control group only when no process is left in it.
is_group_gone() {
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ ! -e "$root$1" ] || return 1
	done
}

is_unit_dead() { # GROUP
	unit_state
	case $ActiveState in inactive | failed) ;; *) return 1 ;; esac
	[ -z "$(unit_pids "$1")" ]
}

# start_unseen_bot: load and start the bot whose unit systemd could not see when it planned the boot.
start_unseen_bot() {
	unit_state
	[ "$LoadState" = not-found ] && is_enabled && [ -e "$UNIT_FILE" ] || return 0
	systemctl daemon-reload
	start_bot
}
