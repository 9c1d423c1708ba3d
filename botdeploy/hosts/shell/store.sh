# store: the trees of all instances on this machine, each once, under the digest of what it holds. A release
# of an instance is small, and links to its tree. The plain form has no store: its files are in the release.
# Used by stage, retain, retire and whatever reads the files of a release. It writes TREES.
#
# TREES/DIGEST/ is complete or absent, root's, and never changed. Other environments use the same store
# at the same time: its lock is held for renames and marks only. A tree stays for as long as a release of
# any instance links to it, or a stage that is under way does (its links "wants" and "base").

UNHEARD_S=60 # for how long somebody else who makes a tree is waited for without a word

is_digest() { case $1 in '' | *[!0-9a-f]*) return 1 ;; esac && [ ${#1} -eq 64 ]; }

is_tree() { [ -f "$TREES/$1/.botdeploy/tree" ]; }

# find_files RELEASE: the folder of its files, in $files; what is known of them is in its .botdeploy/.
find_files() {
	files=$RELEASES/$1
	[ -n "$INSTANCE" ] || return 0
	link_of "$files/tree"
	is_digest "$linked" || linked=none
	files=$TREES/$linked
}

lock_store() {
	command exec 5>>"$STORE" || fault state "cannot write $STORE"
	flock -w 120 5 || fault busy "another act holds $STORE"
}
unlock_store() { exec 5>&-; }

# --- who makes a tree ----------------------------------------------------------------------------

# claim_tree: with the store locked, so that of two who come with the same tree one makes it. Succeeds when
# the tree stands, or is ours to make. Where somebody else is at work on it, waits: for as long as that
# one's controller is heard from.
claim_tree() {
	unheard=''
	until is_tree "$tree"; do
		maker=$(readlink "$MAKING/$tree" 2>/dev/null) || maker=''
		if [ -z "$maker" ] || [ "$maker" = "$unheard" ] || ! is_at_work "$maker"; then
			[ "$base" != = ] || fault no-tree "the tree $tree is not on this host"
			mkdir -p "$MAKING" && relink "$MAKING/$tree" "$partial" || fault write "cannot write $MAKING"
			return 0
		fi
		unlock_store
		await_maker
		lock_store
	done
}

disclaim_tree() {
	[ "$(readlink "$MAKING/$tree" 2>/dev/null)" != "$partial" ] || rm -f "$MAKING/$tree"
}

# is_at_work FOLDER: does the act live that makes a tree there? The kernel ends its lock with it.
is_at_work() { [ -e "$1/alive" ] && ! flock -n "$1/alive" true; }

# await_maker: until it is over, or nothing has come from its controller for a minute (unheard names it then).
# When all has arrived it needs no controller any more.
await_maker() {
	read_uptime
	heard=$now_s size=''
	while is_at_work "$maker" && ! is_tree "$tree"; do
		grown=$(du -s --block-size=1 "$maker" 2>/dev/null | cut -f 1)
		[ "$grown" = "$size" ] && [ ! -e "$maker/arrived" ] || heard=$now_s size=$grown
		if [ $((now_s - heard)) -ge "$UNHEARD_S" ]; then
			unheard=$maker
			return
		fi
		sleep 0.3
		read_uptime
	done
}

# need_tree_name: is the tree what it is called? Nobody can put other files under the name of a tree that
# somebody else is going to use.
need_tree_name() {
	named=$({
		echo 'botdeploy tree 1'
		for one in sums tree shared build; do
			if [ -f "$meta/$one" ]; then sha256sum <"$meta/$one"; else sha256sum </dev/null; fi | sed "s/-\$/$one/"
		done
	} | sha256sum)
	[ "${named%% *}" = "$tree" ] || fault corrupt "the tree is ${named%% *}, not $tree as it is called"
}

# --- which trees go ------------------------------------------------------------------------------

prune_trees() {
	[ -d "$TREES" ] || return 0
	lock_store
	if linked_trees=$(find "$INSTANCES" -mindepth 4 -maxdepth 4 -type l \( -name tree -o -name wants -o -name base \) -printf '%l\n' 2>/dev/null); then
		set +f
		for folder in "$TREES"/*; do
			is_digest "${folder##*/}" || continue
			case "$NL$linked_trees$NL" in *"/${folder##*/}$NL"*) continue ;; esac
			mkdir -p "$TREE_TRASH" && chmod 0700 "$TREE_TRASH" && mv -T "$folder" "$TREE_TRASH/${folder##*/}.$$"
		done
		set -f
	fi
	remove_stale_makers
	unlock_store
	rm -rf "$TREE_TRASH"
}

# remove_stale_makers: what a stage has left that was killed.
remove_stale_makers() {
	set +f
	for stale in "$MAKING"/*; do
		[ ! -L "$stale" ] || [ -e "$stale/alive" ] || rm -f "$stale"
	done
	set -f
	remove_stale_incoming "$TREES"
}
remove_stale_incoming() { # FOLDER
	set +f
	for stale in "$1"/.incoming*; do
		[ ! -d "$stale" ] || [ -d "/proc/${stale##*.}" ] || rm -rf "$stale"
	done
	set -f
}
