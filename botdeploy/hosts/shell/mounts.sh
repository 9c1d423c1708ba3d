# mounts: how an instance finds its own data in a tree that others have too. systemd mounts each entry of
# SHARED over its place in the tree, for this unit alone; what else runs for the instance gets the same.
# Used by stage, the guard, ready and probe. It writes SHARED.
#
# As root systemd goes where a link leads. So no link is on any way: SHARED and what is above an entry are
# root's, the tree is, too, and the entry itself, which is the bot's, can be put in another's place by root
# alone. What stands there already may be older than this rule: it is checked before each start.

# shared_of TREE-FOLDER: the list of its shared entries, in $entries.
shared_of() {
	entries=$1/.botdeploy/shared
	[ -f "$entries" ] || entries=/dev/null
}

# need_entry: is the entry $name a path that can be mounted?
need_entry() {
	case /$name/ in //* | */../* | */./* | *//*) fault usage "shared path $name leaves the release" ;; esac
	case /$name/ in
	/.botdeploy/*) fault usage "shared path $name is botdeploy's own" ;;
	*[\\\"]* | *[[:cntrl:]]*) fault usage "shared path $name has a character that no mount can have" ;;
	esac
}

# make_mount_points: in the tree that is being made; a plain folder each, or a plain file where the release
# or this instance's data has one. Before the build, which may look for them.
make_mount_points() {
	[ -f "$meta/shared" ] || return 0
	all_entries=$NL$(cat "$meta/shared")$NL
	find_data
	while IFS= read -r name || [ -n "$name" ]; do
		need_entry
		above=$name
		while case $above in */*) true ;; *) false ;; esac do
			above=${above%/*}
			[ ! -L "$part/$above" ] || fault shared "$above is a link in the release, and $name would lie behind it"
			case $all_entries in *"$NL$above$NL"*) fault usage "shared path $name lies in $above, which is shared already" ;; esac
		done
		[ ! -L "$part/$name" ] && [ ! -d "$part/$name" ] ||
			fault shared "the release holds $name, which is shared data; remove it from the source or from shared:"
		[ ! -e "$part/$name" ] || continue
		case $name in */*) mkdir -p "$part/${name%/*}" ;; esac
		if [ -f "$data/$name" ] && [ ! -L "$data/$name" ]; then
			true >"$part/$name" # a redirection that fails in ":" ends the shell
		else
			mkdir "$part/$name"
		fi 2>/dev/null || fault write "cannot make $name in the release"
	done <"$meta/shared"
}

# need_mount_points: as they were made: the build might have put a link there, or have taken one away.
need_mount_points() {
	[ -f "$meta/shared" ] || return 0
	while IFS= read -r name || [ -n "$name" ]; do
		check_way "$part" no || fault shared "after the build, $not_mountable"
		[ ! -L "$part/$name" ] && { [ -d "$part/$name" ] || [ -f "$part/$name" ]; } ||
			fault shared "after the build, $name is no place where shared data can be mounted"
	done <"$meta/shared"
}

# check_mounts TREE-FOLDER: that no link leads to a mount point of it or to what is mounted there. What of
# SHARED is missing is made, and what must be root's is made root's, from above to below. Fails with the
# reason in $not_mountable. Needs user.
check_mounts() {
	not_mountable=''
	shared_of "$1"
	[ ! -L "$SHARED" ] && [ -d "$SHARED" ] || { not_mountable="$SHARED is not a folder"; return 1; }
	while IFS= read -r name || [ -n "$name" ]; do
		check_way "$1" no && check_way "$SHARED" yes && check_entry "$1" || return 1
	done <"$entries"
}

# prepare_data RELEASE: can it start with its data where it looks for it?
prepare_data() {
	[ -n "$INSTANCE" ] && [ -n "$1" ] || return 0
	run_as
	find_files "$1"
	check_mounts "$files"
}

# check_way FOLDER MAKE: what is above the entry $name there is folders.
check_way() {
	way=$1 rest=$name
	[ "$2" = no ] || own_folder "$way" || return 1
	while case $rest in */*) true ;; *) false ;; esac do
		way=$way/${rest%%/*} rest=${rest#*/}
		if [ -L "$way" ] || { [ -e "$way" ] && [ ! -d "$way" ]; }; then
			not_mountable="$way is not a folder, and the shared data $name would lie behind it"
			return 1
		fi
		[ "$2" = no ] || own_folder "$way" || return 1
	done
}

own_folder() { # FOLDER: root's, so that nobody else puts anything into it
	if [ ! -d "$1" ]; then mkdir -m 0755 "$1" || { not_mountable="cannot create $1"; return 1; }; fi
	[ -n "$(find "$1" -maxdepth 0 \( ! -user root -o -perm /022 \))" ] || return 0
	chown -h "root:$(id -gn "$user")" "$1" && chmod g-w,o-w "$1" || { not_mountable="cannot own $1"; return 1; }
}

# check_entry TREE-FOLDER: its mount point is a folder or a file, and so is the data, the same of both. A file
# begins as what the release has in its place. What root has put there is for the bot.
check_entry() {
	if [ -L "$SHARED/$name" ] || [ -L "$1/$name" ]; then
		not_mountable="a link stands where shared data is expected: $SHARED/$name or $1/$name"
		return 1
	fi
	if [ -d "$1/$name" ]; then
		[ -e "$SHARED/$name" ] || (umask 027 && mkdir "$SHARED/$name")
		[ ! -d "$SHARED/$name" ] || { give_entry && return; }
	elif [ -f "$1/$name" ]; then
		[ -e "$SHARED/$name" ] || (umask 027 && cat "$1/$name" >"$SHARED/$name")
		[ ! -f "$SHARED/$name" ] || { give_entry && return; }
	fi
	not_mountable="of $SHARED/$name and $1/$name one is a file and the other is not, or one is missing: let the release hold a file of that name where the data is a file"
	return 1
}

give_entry() {
	[ -z "$(find "$SHARED/$name" -maxdepth 0 -user root)" ] || chown -h "$user:" "$SHARED/$name"
}

# add_mounts UNIT-FILE: after it was checked, for no release may bring such a directive. The place is named by
# current, which systemd follows at each start: with another tree the unit stays the same, and systemd need
# not read all units again in the middle of a switch.
MOUNTS_MARK="# Added by botdeploy, and by no release: this instance's own data in the tree that others have too."
add_mounts() {
	[ -s "$entries" ] || return 0
	[ -z "$(tail -c 1 "$1")" ] || echo >>"$1"
	{
		printf '%s\n[Service]\n' "$MOUNTS_MARK"
		while IFS= read -r name || [ -n "$name" ]; do
			printf 'BindPaths="%s":"%s"\n' "$SHARED/$name" "$CURRENT/tree/$name" | sed 's/%/%%/g'
		done <"$entries"
	} >>"$1" || fault write "cannot write the unit"
}

# without_mounts UNIT-FILE: as the release brought it.
without_mounts() {
	if [ -n "$INSTANCE" ]; then sed "/^$MOUNTS_MARK\$/,\$d" "$1"; else cat "$1"; fi
}

# go_there COMMAND …: become the command, in the release that is current and with its data where the bot has
# it. Only in a subshell, as root.
go_there() {
	if [ -z "$INSTANCE" ]; then
		cd "$CURRENT" || exit 126
		exec "$@"
	fi
	link_of "$CURRENT"
	find_files "$linked"
	check_mounts "$files" || exit 126
	# shellcheck disable=SC2016 # for the inner shell
	exec unshare -m --propagation private -- /bin/sh -c '
		entries=$1 shared=$2 files=$3
		shift 3
		while IFS= read -r name || [ -n "$name" ]; do
			mount --bind -- "$shared/$name" "$files/$name" || exit 126
		done <"$entries"
		cd "$files" && exec "$@"' sh "$entries" "$SHARED" "$files" "$@"
}
