# observe: say what truly stands and runs here. Changes nothing.
#
#   observe
#
# One record {"state": {...}}; every figure is read now, none is remembered.

NEEDED="awk flock systemd-run systemctl journalctl sha256sum tar gzip find sort comm cmp xargs base64 runuser stat sed sync"

act_observe() { tell_state; }

tell_state() {
	printf '@@%s {"state": {' "$NONCE"
	read -r boot </proc/sys/kernel/random/boot_id
	wall
	now=$wall_s at=$wall_at
	tick
	printf '"boot_id": "%s", "uptime_s": %s, "at": "%s", "host_time": "%s"' "$boot" "$now_s" "$at" "$at"
	look
	tell_phase
	tell_unit
	tell_rollout
	tell_gates
	tell_releases
	tell_quarantine
	tell_switches
	printf ', "lock": '
	lock_left
	if [ "$left" -gt 0 ]; then lock_record; else record=null; fi
	printf '%s' "$record"
	tell_disk
	tell_host
	printf '}}\n'
}

# look: the links and the unit as they were while no mark changed. A return that ends between two looks
# would else be told as over, with the bot still stopped.
look() {
	tries=0
	while :; do
		marks
		before=$mark
		survey
		unit_state
		running_release
		marks
		tries=$((tries + 1))
		[ "$mark" != "$before" ] && [ "$tries" -lt 5 ] || return 0
	done
}

marks() { # which run stands in each mark, in $mark
	mark=''
	for phase in pending reverting confirmed reverted; do
		get "$STATE/$phase" run
		mark="$mark $got"
	done
}

# survey: one look at the links, the times of the marks and the releases' folders.
survey() {
	current='' previous='' confirmed_at='' confirmed_s=0 folders=''
	while read -r type changed changed_at modified_at path link; do
		case $type:$path in
		l:"$HOME_DIR"/current) current=${link##*/} ;;
		l:"$HOME_DIR"/previous) previous=${link##*/} ;;
		f:"$STATE"/confirmed) confirmed_s=${changed%.*} confirmed_at=${changed_at%.*}Z ;;
		d:"$RELEASES"/*) folders="$folders ${path##*/} ${modified_at%.*}Z" ;;
		esac
	done <<-EOF
		$(TZ=UTC0 find "$HOME_DIR/current" "$HOME_DIR/previous" "$STATE/confirmed" "$RELEASES" -maxdepth 1 -printf \
		'%y %C@ %CY-%Cm-%CdT%CH:%CM:%CS %TY-%Tm-%TdT%TH:%TM:%TS %p %l\n' 2>/dev/null)
	EOF
	is_id "$current" || current=''
	is_id "$previous" || previous=''
	is_number "$confirmed_s" || confirmed_s=$now
}

tell_unit() {
	printf ', "current": "%s", "previous": "%s", ' "$current" "$previous"
	unit_facts
	prepared=false
	[ ! -d "$STATE/proven" ] || prepared=true
	printf ', "prepared": %s' "$prepared"
	stuck=null
	if [ -e "$STATE/stuck" ]; then
		stuck=''
		IFS= read -r stuck <"$STATE/stuck" || :
		quote "${stuck:-the old release did not become ready}"
		stuck=$json
	fi
	printf ', "stuck": %s' "$stuck"
}

# unit_facts: what is known of the unit, as members of a JSON object. Call after running_release.
unit_facts() {
	who_ended
	get "$RUN/result" restarts
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
is_enabled() {
	[ "$(readlink "$UNITS/$UNIT")" = "$HOME_DIR/current/.botdeploy/$UNIT" ] &&
		[ -L "$UNITS/multi-user.target.wants/$UNIT" ]
}

tell_running() { # MEMBERS: a record of these and what is known of the unit
	printf '@@%s {%s, "unit": {' "$NONCE" "$1"
	unit_facts
	printf '}}\n'
}

# pair KEY FILE [FIELD]: , "KEY": "value"
pair() {
	get "$2" "${3:-$1}"
	quote "$got"
	printf ', "%s": %s' "$1" "$json"
}

tell_phase() {
	printf ', "phase": '
	for phase in reverting pending; do
		[ -e "$STATE/$phase" ] || continue
		printf '{"phase": "%s"' "$phase"
		for key in run new old armed by cause why; do pair "$key" "$STATE/$phase"; done
		age_of_marker
		lease_left
		printf ', "age_s": %s, "lease_left_s": %s, "guard": "%s"' "$age" "$left" "$(systemctl is-active "$GUARD" 2>/dev/null)"
		tell_ran "$STATE/$phase"
		printf '}'
		return
	done
	latest_phase
	if [ -n "$latest" ]; then
		printf '{"phase": "%s"' "$latest"
		for key in run new old armed; do pair "$key" "$STATE/$latest"; done
		told=$STATE/$latest
		get "$told" by
		if [ -z "$got" ] && [ "$latest" = reverted ]; then
			get "$told" run
			run=$got
			get "$RUN/reverted" run
			[ "$got" != "$run" ] || told=$RUN/reverted # on a full disk it is in /run only
		fi
		for key in by cause why; do pair "$key" "$told"; done
		[ "$latest" != confirmed ] || printf ', "at": "%s", "age_s": %s' "$confirmed_at" \
			$((now > confirmed_s ? now - confirmed_s : 0))
		[ "$latest" != confirmed ] || tell_ran "$STATE/$latest"
		if [ "$latest" = confirmed ]; then pair earlier "$STATE/reverted" run; else pair earlier "$STATE/confirmed" run; fi
		printf '}'
	else
		printf null
	fi
}

# age_of_marker: whole seconds since the marker was armed, in $age, by the clock that wrote it.
age_of_marker() {
	age=0
	get "$STATE/$phase" armed_s
	! is_number "$got" || [ "$now" -lt "$got" ] || age=$((now - got))
}

# tell_ran MARK: seconds since it was armed by the kernel's clock, which never jumps; nothing after a
# reboot.
tell_ran() {
	get "$1" boot
	[ "$got" = "$boot" ] || return 0
	get "$1" armed_up
	! is_number "$got" || [ "$now_s" -lt "$got" ] || printf ', "ran_s": %s' $((now_s - got))
}

# latest_phase: confirmed or reverted, whichever came last, in $latest; its number in $latest_seq.
latest_phase() {
	latest='' latest_seq=0
	for phase in confirmed reverted; do
		[ -e "$STATE/$phase" ] || continue
		get "$STATE/$phase" seq
		is_number "$got" || got=0
		if [ -z "$latest" ] || [ "$got" -gt "$latest_seq" ]; then latest=$phase latest_seq=$got; fi
	done
}

tell_rollout() {
	if [ -e "$STATE/rollout" ]; then
		printf ', "rollout": {"here": true'
		for key in id release digest ring since owner why outcome ended ended_why environment; do pair "$key" "$STATE/rollout"; done
		printf '}'
	else
		printf ', "rollout": null'
	fi
}

tell_gates() {
	printf ', "hold": '
	if [ -e "$STATE/hold" ]; then
		get "$STATE/hold" who
		quote "$got"
		printf '{"who": %s' "$json"
		for key in why at; do pair "$key" "$STATE/hold"; done
		printf '}'
	else
		printf null
	fi
	printf ', "approved": ['
	separator=''
	set +f
	for mark in "$STATE"/approved/*; do
		case $mark in *'*' | *.new.*) continue ;; esac
		get "$mark" release
		quote "$got"
		printf '%s{"release": %s' "$separator" "$json"
		for key in ring who why at; do pair "$key" "$mark"; done
		printf '}'
		separator=', '
	done
	set -f
	printf ']'
}

tell_releases() {
	printf ', "releases": ['
	separator=''
	# shellcheck disable=SC2086 # pairs of name and time, parted by spaces
	set -- $folders
	while [ $# -gt 1 ]; do
		id=$1 staged_at=$2
		shift 2
		is_id "$id" || continue
		digest='' files=''
		[ -r "$RELEASES/$id/.botdeploy/digest" ] || continue
		read -r digest files _ <"$RELEASES/$id/.botdeploy/digest" || :
		is_id "$digest" || digest=''
		is_number "$files" || files=0
		proven=false proven_at='' proven_in=''
		get "$RELEASES/$id/.botdeploy/staged" rollout
		rollout=$got
		if [ -e "$STATE/proven/$id" ]; then # the mark: whether it still counts, the quarantine tells
			proven=true
			get "$STATE/proven/$id" at
			proven_at=$got
			get "$STATE/proven/$id" rollout
			proven_in=$got
		fi
		quote "$proven_at"
		printf '%s{"id": "%s", "digest": "%s", "files": %s, "proven": %s, "staged_at": "%s", "proven_at": %s' \
			"$separator" "$id" "$digest" "$files" "$proven" "$staged_at" "$json"
		quote "$rollout"
		printf ', "rollout": %s' "$json"
		quote "$proven_in"
		printf ', "proven_in": %s}' "$json"
		separator=', '
	done
	printf ']'
}

tell_quarantine() {
	printf ', "quarantine": {'
	separator='' refused=''
	set +f
	for mark in "$STATE"/quarantine/*; do
		is_id "${mark##*/}" || continue
		case $mark in *.new.*) continue ;; esac
		why=''
		{
			IFS= read -r why || :
			while IFS= read -r error; do
				quote "$error"
				refused="$refused${refused:+, }$json"
			done
		} <"$mark"
		quote "$why"
		printf '%s"%s": %s' "$separator" "${mark##*/}" "$json"
		separator=', '
	done
	set -f
	printf '}, "refused": [%s]' "$refused"
}

# tell_switches: since when what ran here, of the last day, and what ran when it began.
tell_switches() {
	printf ', "switches": ['
	separator='' before='' is_more=no day_us=$(((now - 86400) * 1000000))
	if [ -r "$STATE/switches" ]; then
		while read -r at_us id; do
			case $at_us in '' | *[!0-9]*) continue ;; esac
			is_id "$id" || id=-
			if [ "$at_us" -lt "$day_us" ]; then
				[ -z "$before" ] || is_more=yes
				before="[$at_us, \"$id\"]"
				continue
			fi
			tell_before
			printf '%s[%s, "%s"]' "$separator" "$at_us" "$id"
			separator=', '
		done <"$STATE/switches"
		tell_before
	fi
	printf ']'
}

tell_before() {
	[ -n "$before" ] || return 0
	[ "$is_more" = no ] || before="[0, \"-\"], $before"
	printf '%s%s' "$separator" "$before"
	separator=', ' before='' is_more=no
}

# space_of FOLDER: set total_bytes, free_bytes, total_inodes, free_inodes.
space_of() {
	total_bytes=0 free_bytes=0 total_inodes=0 free_inodes=0
	read -r block total free total_inodes free_inodes <<-EOF
		$(stat -f -c '%S %b %a %c %d' "$1" 2>/dev/null)
	EOF
	is_number "$block" && is_number "$total" && is_number "$free" || return 1
	total_bytes=$((block * total)) free_bytes=$((block * free))
	is_number "$total_inodes" && is_number "$free_inodes" || total_inodes=0 free_inodes=0
}

tell_disk() {
	place=$HOME_DIR
	[ -d "$place" ] || place=/opt
	space_of "$place"
	writable=true
	for folder in "$place" "$([ -d "$STATE" ] && printf %s "$STATE" || printf /var/lib)"; do
		[ -w "$folder" ] || writable=false
	done
	printf ', "disk": {"total_bytes": %s, "free_bytes": %s, "total_inodes": %s, "free_inodes": %s, "writable": %s}' \
		"$total_bytes" "$free_bytes" "$total_inodes" "$free_inodes" "$writable"
}

tell_host() {
	run_as
	missing_tools
	systemd_version
	zstd=false
	! command -v zstd >/dev/null || zstd=true
	if ! is_our_unit && is_foreign_unit; then foreign=true; else foreign=false; fi
	printf ', "wanted_user": "%s", "journal": %s, "systemd": %s, "tools": [%s], "zstd": %s, "foreign_unit": %s, "restricted": %s' \
		"$user" "$(can_read_journal && printf true || printf false)" "$version" "$tools" "$zstd" "$foreign" \
		"$([ -e "$SUDOERS" ] && printf true || printf false)"
}

# missing_tools: what an act needs and the host has not, as JSON strings, in $tools.
missing_tools() {
	tools=''
	for tool in $NEEDED; do
		command -v "$tool" >/dev/null || tools="$tools${tools:+, }\"$tool\""
	done
}

# systemd_version: its number, in $version; remembered for this boot where an act has written it.
systemd_version() {
	version=''
	[ ! -r "$RUN/systemd" ] || read -r version <"$RUN/systemd" || :
	if ! is_number "$version"; then
		version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
		is_number "$version" || version=0
	fi
}

can_read_journal() {
	[ "$(id -u)" -eq 0 ] && return 0
	[ -n "$(journalctl -q -n 1 -o cat 2>/dev/null)" ]
}

# is_foreign_unit: is there a unit of the bot's name that somebody else wrote? Its place in $foreign. Ours
# is the link in UNITS; elsewhere stand those of packages, of generators, and the aliases of both.
is_foreign_unit() {
	for foreign in /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient \
		/run/systemd/generator.early "$UNITS" /etc/systemd/system.attached /run/systemd/system \
		/run/systemd/system.attached /run/systemd/generator /usr/local/lib/systemd/system \
		/usr/lib/systemd/system /lib/systemd/system /run/systemd/generator.late; do
		foreign=$foreign/$UNIT
		[ -e "$foreign" ] || [ -L "$foreign" ] || continue
		[ "$foreign" = "$UNITS/$UNIT" ] && is_our_unit || return 0
	done
	foreign=''
	return 1
}

is_our_unit() { [ "$(readlink "$UNITS/$UNIT" 2>/dev/null)" = "$HOME_DIR/current/.botdeploy/$UNIT" ]; }

# about_foreign: what it is, in $about and $kind_of, and what to do about it, in $mend. A bot that a
# person has masked is nobody else's: it is that person's word that it shall not run.
about_foreign() {
	data='' kind_of=foreign-unit
	case $(readlink "$foreign"):$foreign in
	/dev/null:*)
		case $foreign in /run/*) mend="systemctl unmask --runtime $UNIT" ;; *) mend="systemctl unmask $UNIT" ;; esac
		kind_of=masked about="$UNIT is masked on this host ($foreign), so it can't run"
		return
		;;
	esac
	case $foreign in
	"$UNITS"/*)
		mend="to hand the bot over: systemctl disable --now $UNIT; mv $foreign $foreign.before-botdeploy"
		foreign_data
		;;
	*) mend="it comes with a package, or is made at boot: give the bot another name" ;;
	esac
	about="$foreign was not written by botdeploy${data:+. $data}"
}

# foreign_data: where a unit that somebody else wrote may keep what it stores, and where that belongs,
# in $data: its working and state folders, and what its main process has open for writing. What it
# opens only now and then can't be seen.
foreign_data() {
	places='' count=0
	folder=$(systemctl show -p WorkingDirectory --value "$UNIT" 2>/dev/null)
	case ${folder#!} in /*) places=", ${folder#!} (WorkingDirectory)" ;; esac
	for folder in $(systemctl show -p StateDirectory --value "$UNIT" 2>/dev/null); do
		places="$places, /var/lib/$folder (StateDirectory)"
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
	data="What it has stored belongs below $HOME_DIR/shared, in what bot.shared names, else the bot begins with nothing"
	[ -z "$places" ] || data="Its data may be in ${places#, }. $data"
}

# lease_left: seconds until what is pending goes back, in $left.
lease_left() {
	left=0 deadline=''
	[ ! -r "$RUN/lease" ] || read -r deadline <"$RUN/lease" || :
	is_number "$deadline" || return 0
	tick
	[ "$deadline" -le "$now_s" ] || left=$((deadline - now_s))
}
