# observe: what stands and runs here. It writes nothing. enter tells the same when it has the lock.
#
#   observe [INSTANCE ...]
#
# One record {"state": {...}} for each instance; every figure is read now, none is remembered.

act_observe() {
	for one in "$@"; do is_instance "$one" || fault usage "$one is not an instance's name"; done
	each_instance "${*:-$INSTANCE}" tell_state
}

tell_state() {
	printf '@@%s {"state": {' "$NONCE"
	read -r boot </proc/sys/kernel/random/boot_id
	read_clock
	now=$wall_s
	read_uptime
	printf '"boot_id": "%s", "uptime_s": %s, "at": "%s"' "$boot" "$now_s" "$wall_at"
	word_of "$MACHINE"
	is_id "$got" || got=''
	printf ', "instance": "%s", "machine": "%s"' "$INSTANCE" "$got"
	read_standing
	tell_phase
	tell_way_back
	tell_unit
	tell_rollout
	tell_gates
	tell_releases
	tell_rendered
	tell_quarantine
	tell_switches
	tell_machine
	printf ', "lock": '
	lock_left
	if [ "$left" -gt 0 ]; then lock_record; else record=null; fi
	printf '%s}}\n' "$record"
}

# read_standing: the links and the unit as they were while no mark changed. Otherwise a return that ends
# between two looks would be told as over, with the bot still stopped.
read_standing() {
	tries=0
	while :; do
		read_marks
		before=$mark
		read_links
		unit_state
		running_release
		read_marks
		tries=$((tries + 1))
		[ "$mark" != "$before" ] && [ "$tries" -lt 5 ] || return 0
	done
}

read_marks() { # which run stands in each mark, in $mark
	mark=''
	for phase in pending reverting confirmed reverted; do
		get "$STATE/$phase" run
		mark="$mark $got"
	done
}

# read_links: one look at the links, the time of the confirmation and the releases' folders.
read_links() {
	current='' previous='' confirmed_s=0 folders='' their_trees=' ' depth=1
	[ -z "$INSTANCE" ] || depth=2
	while read -r type changed path link; do
		case $type:$path in
		l:"$CURRENT") current=${link##*/} ;;
		l:"$PREVIOUS") previous=${link##*/} ;;
		f:"$CONFIRMED") confirmed_s=${changed%.*} ;;
		l:"$RELEASES"/*/tree)
			path=${path%/tree}
			their_trees="$their_trees${path##*/}=${link##*/} "
			;;
		d:"$RELEASES"/*/*) ;;
		d:"$RELEASES"/*) folders="$folders ${path##*/}" ;;
		esac
	done <<-EOF
		$(find "$CURRENT" "$PREVIOUS" "$CONFIRMED" "$RELEASES" -maxdepth "$depth" -printf '%y %C@ %p %l\n' 2>/dev/null)
	EOF
	is_release "$current" || current=''
	is_release "$previous" || previous=''
	is_number "$confirmed_s" || confirmed_s=$now
}

tell_unit() {
	printf ', "current": "%s", "previous": "%s", ' "$current" "$previous"
	unit_facts
	prepared=false
	[ ! -d "$PROVEN" ] || prepared=true
	printf ', "prepared": %s' "$prepared"
	json=null
	if [ -e "$STUCK" ]; then
		word_of "$STUCK"
		quote "${got:-the old release did not become ready}"
	fi
	printf ', "stuck": %s' "$json"
}

# members FILE KEY ...: "KEY": "value", …
members() {
	members_of=$1 comma=''
	shift
	for key in "$@"; do
		get "$members_of" "$key"
		quote "$got"
		printf '%s"%s": %s' "$comma" "$key" "$json"
		comma=', '
	done
}

# member KEY FILE FIELD: , "KEY": "value"
member() {
	get "$2" "$3"
	quote "$got"
	printf ', "%s": %s' "$1" "$json"
}

# number_member KEY FILE: , "KEY": number; 0 where it is none.
number_member() {
	get "$2" "$1"
	case $got in '' | *[!0-9.]*) got=0 ;; esac
	printf ', "%s": %s' "$1" "$got"
}

tell_phase() {
	# In the order of a mark's life, so that none gets by; what was over is looked for last.
	for phase in pending reverting latest; do
		if [ "$phase" = latest ]; then
			find_latest_mark
			phase=${latest:-none}
		fi
		mark=$STATE/$phase
		[ -e "$mark" ] || continue
		printf ', "phase": {"phase": "%s", ' "$phase"
		members "$mark" run new old armed
		printf ', '
		find_reason "$mark"
		members "$reason" by cause why
		tell_predecessor_of "$mark"
		case $phase in
		reverted) member earlier "$CONFIRMED" run ;;
		confirmed)
			member earlier "$REVERTED" run
			tell_age "$confirmed_s"
			;;
		*)
			tell_age "$(field "$mark" armed_s)"
			lease_left
			printf ', "lease_left_s": %s' "$left"
			;;
		esac
		printf '}'
		return
	done
	printf ', "phase": null'
}

# tell_way_back: what a return takes back besides, where it was a change of form that brought what runs: to whom
# its place goes back (nobody: the instance goes away with the change).
tell_way_back() {
	find_way_back "$current"
	case $back_to in
	'') printf ', "before": null' ;;
	none) printf ', "before": {"unit": "", "release": ""}' ;;
	*)
		quote "$(numbers_at_turn)"
		link_of "$their_current.left"
		printf ', "before": {"unit": "%s", "release": "%s", "numbers": %s}' "$their_unit" "$linked" "$json"
		;;
	esac
}

# find_reason MARK: the file that says by whom it went back and why, in $reason; on a full disk it is in
# /run only.
find_reason() {
	reason=$1
	load "$1" by run
	[ -z "$by" ] || return 0
	get "$RETURNED" run
	[ "$got" != "$run" ] || reason=$RETURNED
}

# tell_age SECONDS: how long ago that was by the wall clock, and, since the same boot, how long ago the mark
# was armed by the kernel's clock, which never jumps.
tell_age() {
	age=0
	! is_number "$1" || [ "$now" -lt "$1" ] || age=$((now - $1))
	printf ', "age_s": %s' "$age"
	get "$mark" boot
	[ "$got" = "$boot" ] || return 0
	get "$mark" armed_up
	! is_number "$got" || [ "$now_s" -lt "$got" ] || printf ', "ran_s": %s' $((now_s - got))
}

tell_rollout() {
	if [ -e "$ROLLOUT" ]; then
		printf ', "rollout": {"here": true, '
		members "$ROLLOUT" id release digest ring since owner why outcome ended ended_why environment same
		printf '}'
	else
		printf ', "rollout": null'
	fi
}

tell_gates() {
	printf ', "hold": '
	if [ -e "$HOLD" ]; then
		printf '{'
		members "$HOLD" who why at
		printf '}'
	else
		printf null
	fi
	printf ', "approved": ['
	separator=''
	set +f
	for mark in "$APPROVED"/*; do
		case $mark in *'*' | *.new.*) continue ;; esac
		printf '%s{' "$separator"
		members "$mark" release ring who why at
		printf '}'
		separator=', '
	done
	set -f
	printf ']'
}

tell_releases() {
	printf ', "releases": ['
	separator=''
	for id in $folders; do
		is_release "$id" && [ -r "$RELEASES/$id/.botdeploy/digest" ] || continue
		digest='' files='' recipe=''
		read -r digest files _ recipe _ <"$RELEASES/$id/.botdeploy/digest" || :
		is_id "$digest" || digest=''
		is_number "$files" || files=0
		is_digest "$recipe" || recipe=''
		proven=false
		[ ! -e "$PROVEN/$id" ] || proven=true # the mark: whether it still counts, the quarantine tells
		printf '%s{"id": "%s", "digest": "%s", "recipe": "%s", "files": %s, "proven": %s' "$separator" "$id" "$digest" "$recipe" "$files" "$proven"
		member rollout "$RELEASES/$id/.botdeploy/staged" rollout
		member proven_at "$PROVEN/$id" at
		member proven_in "$PROVEN/$id" rollout
		member numbers "$RELEASES/$id/.botdeploy/numbers" numbers
		case $their_trees in
		*" $id="*)
			its_tree=${their_trees#*" $id="}
			printf ', "tree": "%s"' "${its_tree%% *}"
			;;
		esac
		printf '}'
		separator=', '
	done
	printf ']'
}

# tell_rendered: what the highest N was of each ID, so that none is used for two.
tell_rendered() {
	printf ', "rendered": ['
	separator=''
	if [ -r "$RENDERED" ]; then
		while IFS='=' read -r id number; do
			is_id "$id" && is_number "$number" || continue
			printf '%s"%s+%s"' "$separator" "$id" "$number"
			separator=', '
		done <"$RENDERED"
	fi
	printf ']'
}

tell_quarantine() {
	printf ', "quarantine": {'
	separator='' refused=''
	set +f
	for mark in "$QUARANTINE"/*; do
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
	if [ -r "$SWITCHES" ]; then
		while read -r at_us id; do
			case $at_us in '' | *[!0-9]*) continue ;; esac
			is_release "$id" || id=-
			if [ "$at_us" -lt "$day_us" ]; then
				[ -z "$before" ] || is_more=yes
				before="[$at_us, \"$id\"]"
				continue
			fi
			tell_before
			printf '%s[%s, "%s"]' "$separator" "$at_us" "$id"
			separator=', '
		done <"$SWITCHES"
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

# tell_machine: what does not depend on the instance: the trees in the store, and all instances that stand here.
tell_machine() {
	printf ', "trees": ['
	separator=''
	set +f
	for folder in "$TREES"/*; do
		folder=${folder##*/}
		is_digest "$folder" && is_tree "$folder" || continue
		printf '%s"%s"' "$separator" "$folder"
		separator=', '
	done
	set -f
	printf '], "standing": ['
	separator=''
	each_prepared tell_instance
	printf ']'
}

tell_instance() {
	stands || return 0
	link_of "$CURRENT"
	printf '%s{"instance": "%s", "release": "%s"' "$separator" "$INSTANCE" "$linked"
	member environment "$ROLLOUT" environment
	member took "$TOOK" succeeds
	member numbers "$RELEASES/${linked:--}/.botdeploy/numbers" numbers
	printf '}'
	separator=', '
}
