# succession: a bot that changes its form, from plain to named instances or back. One instance takes the place
# of the one that stands in the other form, the predecessor, and gets its data by one rename. What the
# predecessor has left waits for a return, until a later release is proven on its successor.
# Used by enter, stage, switch, revert, the guard, prove and retire. It writes SUCCESSOR, TOOK and SHARED,
# and the names that end in .left, which the predecessor's links get.
#
# Which instance may succeed, says the controller (form). A mark of a change names its predecessor (succeeds), "-"
# for the plain form. An instance joins where it comes with such a change.
#
# At every instant the predecessor is enabled only while it has its data, and the successor's current stands
# only while it has them: whatever a power cut leaves, a boot starts neither without data. No step of a
# return needs space on a disk: all are renames.

unit_called() { printf '%s%s.service' "$BOT" "$([ "$1" = - ] || printf '@%s' "$1")"; } # NAME

# with_instance NAME COMMAND …: the command with the places of that instance in use.
in_use=''
with_instance() {
	in_use=$INSTANCE/$in_use
	use_instance "${1#-}"
	shift
	"$@"
	came=$?
	use_instance "${in_use%%/*}"
	in_use=${in_use#*/}
	return "$came"
}

# read_theirs NAME: what of another instance is needed here.
read_theirs() { with_instance "$1" name_theirs; }
name_theirs() {
	their_home=$HOME_DIR their_data=$SHARED their_state=$STATE their_run=$RUN_DIR their_fence=$FENCE
	their_mark=$SUCCESSOR their_took=$TOOK their_current=$CURRENT their_unit=$UNIT
}

fence_theirs() {
	(umask 077 && mkdir -p "$their_run") && command exec 6>>"$their_fence" && flock -w 120 6
}
unfence_theirs() { exec 6>&-; }

# is_their_successor: after read_theirs: have we taken their place, or are about to?
is_their_successor() {
	word_of "$their_mark"
	[ "$got" = "${INSTANCE:--}" ]
}

# --- who succeeds whom ---------------------------------------------------------------------------

# find_predecessor FORM TAKEN-OVER: whose place the instance takes when it starts, in $predecessor. Where several
# stand, a return goes back to the one that has the data from here. Needs environment.
find_predecessor() {
	predecessor=''
	[ "${INSTANCE:--}" = "$1" ] && [ ! -L "$CURRENT" ] || return 0
	for other in $(each_prepared name_other_form "$INSTANCE" "$2"); do
		read_theirs "$other"
		[ -n "$predecessor" ] && [ "$(field "$their_took" succeeds)" != "${INSTANCE:--}" ] || predecessor=$other
	done
}

find_locked_predecessor() { # by what the lock says of form and environments
	load "$LOCK" form environment taken_over
	find_predecessor "$form" "$taken_over"
}

name_other_form() { # ENTERING TAKEN-OVER
	[ -L "$CURRENT" ] || return 0
	if [ -n "$1" ]; then [ -z "$INSTANCE" ] || return 0; else [ -n "$INSTANCE" ] || return 0; fi
	get "$ROLLOUT" environment
	[ -z "$got" ] || [ -z "$environment" ] || [ "$got" = "$environment" ] || [ "$got" = "$2" ] || return 0
	printf '%s ' "${INSTANCE:--}"
}

# need_form TAKEN-OVER: of one environment the bot stands here without a name, or as named instances, and
# both only for as long as one takes the other's place: else that were one copy too many. Where it is not known
# whose it is, it may be this environment's.
need_form() {
	others=$(each_prepared name_other_form "$INSTANCE" "$1")
	[ -n "$others" ] && [ -z "$predecessor" ] || return 0
	their_units=''
	for other in $others; do their_units="$their_units, $(unit_called "$other")"; done
	fault form "the bot stands here as ${their_units#, }, and ${INSTANCE:-$BOT without a name} would be a second copy of it: retire that first, or keep its form"
}

# need_place: whose place another has taken comes back only by that one's return, or as its successor.
need_place() {
	word_of "$SUCCESSOR"
	[ -n "$got" ] && { [ -z "$predecessor" ] || [ "$form" != "${INSTANCE:--}" ]; } || return 0
	fault form "$(unit_called "$got") has taken the place of $UNIT here, and has its data: use the inventory that names that one"
}

# need_takeable: of the instance that is going to succeed: refuse before anything is touched.
need_takeable() {
	read_theirs "$predecessor"
	! with_instance "$predecessor" is_open ||
		fault form "$their_unit is in the middle of a switch here, and $UNIT is to take its place: first end its rollout"
	can_take || fault succession "$UNIT is to take the place of $their_unit, with its data: $not_takeable. Nothing was changed"
}

# can_take: is it one rename from their data to ours? Fails with the reason in $not_takeable.
can_take() {
	not_takeable='' near=$HOME_DIR
	while [ ! -d "$near" ]; do near=${near%/*}; done
	[ ! -L "$their_data" ] && [ -d "$their_data" ] || { not_takeable="$their_data is not a folder"; return 1; }
	while read -r _ _ _ _ mounted _; do
		case $mounted in "$their_data" | "$their_data"/* | "$SHARED" | "$SHARED"/*)
			not_takeable="$mounted is mounted, and can't be moved by a rename. Unmount it, and mount it at its new place when the change is over"
			return 1
			;;
		esac
	done </proc/self/mountinfo
	[ "$(stat -c %d "$their_data")" = "$(stat -c %d "$near")" ] ||
		{ not_takeable="$their_data and $near are on different file systems, and no rename leads from one to the other"; return 1; }
	[ ! -L "$SHARED" ] && [ -z "$(find "$SHARED" ! -type d -print -quit 2>/dev/null)" ] ||
		{ not_takeable="$SHARED has data already, of an earlier life. Move it away"; return 1; }
}

# inherit: what holds the predecessor holds its successor: a person's stop, and the releases that failed. One of an
# environment that is taken over is this one's from now on: the next command says that no more.
inherit() {
	read_theirs "$predecessor"
	if [ -n "$taken_over" ] && [ "$(field "$their_state/rollout" environment)" = "$taken_over" ]; then
		{ grep -v '^environment=' "$their_state/rollout" && printf 'environment=%s\n' "$environment"; } |
			put "$their_state/rollout" || fault write "cannot write $their_state"
	fi
	set +f
	for mark in "$their_state/hold" "$their_state/quarantine"/*; do
		case $mark in *.new.*) continue ;; esac
		[ ! -f "$mark" ] || [ -e "$STATE${mark#"$their_state"}" ] || cp "$mark" "$STATE${mark#"$their_state"}" ||
			fault write "cannot write $STATE"
	done
	set -f
}

# find_data: where the data is that the instance has when it starts, in $data, and whether that is so already.
find_data() {
	data=$SHARED
	find_locked_predecessor
	[ -z "$predecessor" ] || { read_theirs "$predecessor" && data=$their_data; }
}

# check_given TREE-FOLDER DATA: as check_mounts, of data that are another's still: nothing is made or changed.
check_given() {
	not_mountable=''
	shared_of "$1"
	while IFS= read -r name || [ -n "$name" ]; do
		check_way "$1" no && check_way "$2" no || return 1
		[ ! -L "$2/$name" ] && [ ! -L "$1/$name" ] || { not_mountable="a link stands where shared data is expected: $2/$name"; return 1; }
		[ -e "$2/$name" ] || continue
		if [ -d "$1/$name" ]; then [ -d "$2/$name" ]; else [ -f "$2/$name" ]; fi ||
			{ not_mountable="of $2/$name and $1/$name one is a file and the other is not"; return 1; }
	done <"$entries"
}

# --- forward, by the guard -----------------------------------------------------------------------

# claim_place: before anything stops: all that can fail. From now on the predecessor is nobody else's.
claim_place() { # RELEASE
	read_theirs "$succeeds"
	if is_their_successor && [ ! -e "$their_data" ]; then return 0; fi
	can_take && can_rename || { failed=$not_takeable; return 1; }
	if [ -n "$INSTANCE" ]; then
		find_files "$1"
		check_given "$files" "$their_data" || { failed=$not_mountable; return 1; }
	fi
	note_owners || { failed="cannot write $TOOK"; return 1; }
	fence_theirs || { failed="another act holds $their_fence"; return 1; }
	if with_instance "$succeeds" is_open; then
		failed="$their_unit is in the middle of a switch"
	elif [ ! -L "$their_current" ] && [ ! -L "$their_current.left" ]; then
		failed="$their_unit is not here any more"
	elif ! is_their_successor; then
		printf '%s\n' "${INSTANCE:--}" | put "$their_mark" || failed="cannot write $their_mark"
	fi
	unfence_theirs
	[ -z "$failed" ]
}

# can_rename: from their folder to ours? Where that is a copy (quotas and layers of file systems do that),
# the folder comes as another one.
can_rename() {
	end_trial
	mkdir "$their_home/.trial" && was=$(stat -c %i "$their_home/.trial") &&
		mv -T "$their_home/.trial" "$HOME_DIR/.trial" && [ "$(stat -c %i "$HOME_DIR/.trial")" = "$was" ] ||
		not_takeable="a folder can't be renamed from $their_home to $HOME_DIR"
	end_trial
	[ -z "$not_takeable" ]
}

end_trial() { rmdir "$their_home/.trial" "$HOME_DIR/.trial" 2>/dev/null || :; }

# note_owners: whose the folders are that become root's (see mounts), as "own UID:GID MODE PATH".
note_owners() {
	{
		printf 'succeeds=%s\n' "$succeeds"
		if [ -n "$INSTANCE" ]; then
			{ echo && ways_to_entries; } | while IFS= read -r way; do
				[ -L "$their_data$way" ] || [ ! -d "$their_data$way" ] || printf 'own %s %s\n' "$(stat -c '%u:%g %a' "$their_data$way")" "$way"
			done
		fi
	} | put "$TOOK"
}

# ways_to_entries: the folders above the entries of the list, each with a slash before it, a line each.
ways_to_entries() {
	while IFS= read -r name || [ -n "$name" ]; do
		above=$name
		while case $above in */*) true ;; *) false ;; esac do
			above=${above%/*}
			printf '/%s\n' "$above"
		done
	done <"$entries" | sort -u
}

# stop_predecessor: and prove it dead.
stop_predecessor() { with_instance "$succeeds" stop_here; }
stop_here() {
	unit_state
	systemctl reset-failed "$UNIT" 2>/dev/null
	stop_bot "${ControlGroup:-$GROUP}"
}

# take_place: both are dead: the predecessor's links go aside, its data comes here. Fence held.
take_place() { # RELEASE
	with_instance "$succeeds" put_aside || return 1
	read_theirs "$succeeds"
	if [ -e "$their_data" ]; then
		[ ! -e "$SHARED" ] || find "$SHARED" -depth -type d -empty -delete
		[ ! -e "$SHARED" ] && mv -T "$their_data" "$SHARED" && sync "$their_home" "$HOME_DIR" || return 1
	fi
	[ -n "$INSTANCE" ] || open_to_user "$1"
}

# put_aside: first what would start it at a boot, and durably, before its data goes.
put_aside() {
	[ ! -L "$CURRENT" ] || { log_switch '' && audit note "" "done" "$(unit_called "$(cat "$SUCCESSOR")") takes its place"; }
	for link in "$WANTED/$UNIT" "$UNIT_LINK" "$CURRENT"; do
		aside_of "$link"
		[ ! -L "$link" ] || rename "$link" "$aside" || return 1
	done
	sync "$HOME_DIR" "$UNITS" "$WANTED"
}

# aside_of LINK: to where it goes, in $aside. systemd complains of a strange name in WANTED.
aside_of() {
	aside=$1.left
	[ "$1" != "$WANTED/$UNIT" ] || aside=$UNITS/$UNIT.wanted.left
}

# open_to_user: the plain bot makes its shared data itself. From below to above, so that it can't put a link
# in the place of a folder that is going to be its own.
open_to_user() { # RELEASE
	run_as
	entries=$RELEASES/$1/.botdeploy/shared
	[ -f "$entries" ] || entries=/dev/null
	{ ways_to_entries | sort -r && echo; } | while IFS= read -r way; do
		[ -L "$SHARED$way" ] || [ ! -d "$SHARED$way" ] || chown -h "$user:" "$SHARED$way" || exit 1
	done || return 1
	while IFS= read -r name || [ -n "$name" ]; do
		make_entry || return 1
	done <"$entries"
}

# --- back, by the guard --------------------------------------------------------------------------

# give_back: the successor is dead and has no current any more: the data goes back, then the links. Fence held.
# Once its mark is gone, nothing is left to be given back.
give_back() {
	read_theirs "$succeeds"
	end_trial
	is_their_successor || return 0
	sync "$HOME_DIR" "$UNITS" "$WANTED" 2>/dev/null || sync
	if [ -d "$SHARED" ] && [ -z "$(find "$their_data" -mindepth 1 -print -quit 2>/dev/null)" ]; then
		mv -T "$SHARED" "$their_data" || return 1
	fi
	restore_owners
	sync "$their_home" "$HOME_DIR" 2>/dev/null || sync
	with_instance "$succeeds" put_back || return 1
	rm -f "$their_mark" "$TOOK" && sync "$their_state"
}

restore_owners() {
	[ "$succeeds" = - ] && [ -r "$TOOK" ] || return 0
	sed -n 's/^own //p' "$TOOK" | sort -r -k 3 | while read -r own mode way; do
		[ -L "$their_data$way" ] || [ ! -d "$their_data$way" ] || { chown -h "$own" "$their_data$way" && chmod "$mode" "$their_data$way"; }
	done
}

put_back() {
	for link in "$CURRENT" "$UNIT_LINK" "$WANTED/$UNIT"; do
		aside_of "$link"
		[ ! -L "$aside" ] || rename "$aside" "$link" || return 1
	done
	relink "$UNIT_LINK" "$UNIT_FILE" || return 1
	link_of "$CURRENT"
	begun_us=''
	log_switch "$linked"
	audit note "$linked" "done" "it has its place again" || :
	sync "$HOME_DIR" "$UNITS" "$WANTED" 2>/dev/null || sync
}

# start_predecessor: until it runs and is ready again. Fails with the reason in $not_ready.
start_predecessor() { with_instance "$succeeds" start_here; }
start_here() {
	(umask 077 && mkdir -p "$RUN_DIR")
	remove_stale_files # of a guard that was killed in claim_place
	unit_state
	running_release
	link_of "$CURRENT"
	if [ -z "$linked" ]; then
		not_ready="$UNIT has no release any more"
		return 1
	fi
	given=$linked
	case $ActiveState in
	active | activating | reloading) [ "$running" = "$given" ] || [ -z "$running" ] ;;
	*) false ;;
	esac || {
		systemctl reset-failed "$UNIT" 2>/dev/null
		prepare_data "$given" || { not_ready=$not_mountable; return 1; }
		start_bot || { not_ready="systemd did not start it: ${said##*"$NL"}"; return 1; }
		unit_state
	}
	# One that was not stopped gave its sign before.
	[ "$ActiveEnterTimestampMonotonic" -eq 0 ] || [ $((ActiveEnterTimestampMonotonic / 10000)) -ge "$begun" ] || restarted=no
	await_ready "$given" && note_started "$given"
}

# --- what can be returned to, and what is left ---------------------------------------------------

# find_way_back RELEASE: was it the change of form that brought the release here, and can that be undone? The
# predecessor is in $back_to then; "none" for one that came with the change, and goes with it.
find_way_back() {
	back_to=''
	[ -n "$1" ] || return 0
	for mark in "$PENDING" "$CONFIRMED"; do
		[ "$(field "$mark" new)" = "$1" ] || continue
		load "$mark" succeeds joins
		if [ -n "$succeeds" ]; then
			read_theirs "$succeeds"
			if is_their_successor && { [ -L "$their_current.left" ] || [ "$mark" = "$PENDING" ]; }; then back_to=$succeeds; fi
		elif [ -n "$joins" ] && with_instance "$joins" is_change_undoable; then
			back_to=none
		fi
		return 0
	done
}

# tell_predecessor_of MARK: , "unit": its unit, "release": what it has, "numbers": by which; nothing where no form
# was changed.
tell_predecessor_of() {
	get "$1" succeeds
	[ -n "$got" ] || return 0
	quote "$(with_instance "$got" numbers_that_stand)"
	read_theirs "$got"
	[ -L "$their_current" ] || their_current=$their_current.left
	link_of "$their_current"
	printf ', "unit": "%s", "release": "%s", "numbers": %s' "$their_unit" "$linked" "$json"
}

# is_change_undoable: of the successor: has it taken a place, and can give it back, or has it just given it back?
is_change_undoable() {
	for one_mark in "$PENDING" "$REVERTING" "$CONFIRMED"; do
		get "$one_mark" succeeds
		[ -n "$got" ] || continue
		read_theirs "$got"
		! is_their_successor || return 0
	done
	[ ! -L "$CURRENT" ] && [ -n "$(field "$REVERTED" succeeds)" ]
}

# find_joined: does the release come with a change of form? Whose, in $joins. Needs form.
find_joined() {
	joins=''
	case $form in '' | "${INSTANCE:--}") return 0 ;; esac
	if [ -n "$(with_instance "$form" tell_predecessor)" ] || with_instance "$form" is_change_undoable; then joins=$form; fi
}
tell_predecessor() {
	find_predecessor "$form" "$taken_over"
	printf %s "$predecessor"
}

# forget_left: what waits here for a return is of no use any more: this one begins a life of its own.
forget_left() { rm -f "$SUCCESSOR" "$CURRENT.left" "$UNIT_LINK.left" "$UNITS/$UNIT.wanted.left"; }

# bury_predecessor: of whom this one has taken the place all goes but the audit log.
bury_predecessor() {
	get "$TOOK" succeeds
	[ -n "$got" ] || return 0
	buried=$got
	read_theirs "$buried"
	is_their_successor && fence_theirs || return 0
	if ! is_open; then with_instance "$buried" bury_here; fi
	unfence_theirs
}
bury_here() {
	audit retire "" "done" "$(unit_called "$(cat "$SUCCESSOR")") has its place and its data for good" || :
	retire_unit
	retire_files
	[ -z "$INSTANCE" ] || rmdir "$HOME_DIR" 2>/dev/null || :
}
