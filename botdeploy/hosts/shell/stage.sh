# stage: put a complete, verified release beside the others. Nothing that runs is touched. It writes
# RELEASES, PARTIALS, SHARED, RENDERED and ROLLOUT.
#
#   stage TOKEN ID BASE META_BYTES NEED_BYTES NEED_INODES ROLLOUT RING [TREE]
#
# Standard input: META_BYTES of a gzip tar with what becomes .botdeploy/ (sums, tree, digest, unit,
# environment, ready …), then a gzip tar with the files that BASE (a release here, or "-") does
# not have. What both have is copied from BASE, never linked: a bot that appends to a linked file
# would change the release to return to. Then every file is verified, built, synced, renamed in.
#
# A named instance says which TREE its files are, by digest; they go into the store, once for all instances,
# and the release links to them. BASE may then be tree:DIGEST, too, or "=": the tree stands here
# already, and standard input has only META, without the tree's own (sums, tree, shared, build).
#
# Where all of it is the same as what runs here but for the release's id, nothing is kept of it: what runs
# goes on in its place (see rollout).
#
# What arrives is not trusted: whoever may deploy the bot must not become root by what it holds.

act_stage() {
	token=${1:-} id=${2:-} base=${3:-} meta_bytes=${4:-} need_bytes=${5:-} need_inodes=${6:-}
	rollout=${7:-} ring=${8:-} tree=${9:-}
	need_lock "$token"
	need_release release "$id"
	need_base
	need_number meta_bytes "$meta_bytes"
	need_number need_bytes "$need_bytes"
	need_number need_inodes "$need_inodes"
	need_id rollout "$rollout"
	need_ring "$ring"
	run_as
	if [ -n "$INSTANCE" ]; then
		place=$TREES/$tree around=$TREES
	else
		place=$RELEASES/$id around=$RELEASES
	fi
	begin_partial
	head -c "$meta_bytes" | gzip -dcq | tar -x -f - -C "$meta" --no-same-owner 2>"$partial/said" || stage_failed
	need_meta
	note_number
	if is_complete "$id"; then
		if is_as_sent; then
			cat >/dev/null
			note_rollout
			emit "{\"staged\": \"$id\", \"already\": true}"
			return 0
		fi
		set_aside
	fi
	find_same
	if [ -n "$same" ]; then
		cat >/dev/null
		note_rollout "$same"
		emit "{\"staged\": \"$id\", \"already\": false, \"same\": \"$same\"}"
		return 0
	fi
	find_changed
	if [ -n "$INSTANCE" ]; then stage_with_tree; else stage_whole; fi
	note_rollout
	quote "$changed"
	emit "{\"staged\": \"$id\", \"already\": false, \"changed\": $json}"
}

# note_number: an N that was sent is never used again for other values of its ID, whatever becomes of it.
note_number() {
	case $id in *+*) ;; *) return 0 ;; esac
	get "$RENDERED" "${id%+*}"
	[ "${got:-1}" -lt "${id##*+}" ] || return 0
	{ grep -sv "^${id%+*}=" "$RENDERED"; printf '%s=%s\n' "${id%+*}" "${id##*+}"; } | put "$RENDERED" ||
		fault_write "write $RENDERED"
}

# is_as_sent: is what stands here under this id what has come?
is_as_sent() {
	read -r sent _ <"$meta/digest"
	digest_of "$id"
	[ "$digest" = "$sent" ]
}

# set_aside: other values stand here under this id. So it is where a controller came no further than to this
# host, and the next one did not reach it. They never ran, and nobody returns to them; what ran stays.
set_aside() {
	ran=''
	for state in pending reverting confirmed reverted; do
		load "$STATE/$state" new old
		ran="$ran $new $old"
	done
	for link in "$CURRENT" "$PREVIOUS"; do
		link_of "$link"
		ran="$ran $linked"
	done
	case "$ran " in *" $id "*) ran=yes ;; *) ran=no ;; esac
	if [ "$ran" = yes ] || [ -e "$PROVEN/$id" ] || grep -qs " ${id}\$" "$SWITCHES"; then
		fault taken "$id is on this host with other values, and ran here; nothing was changed"
	fi
	mkdir -p "$TRASH" && chmod 0700 "$TRASH" && mv -T "$RELEASES/$id" "$TRASH/$id.$$" && rm -rf "$TRASH" ||
		fault_write "take $id away"
}

# need_base: a named instance has a tree, and a base may be one; in the plain form there is none.
need_base() {
	if [ -z "$INSTANCE" ]; then
		[ -z "$tree" ] || fault usage "$BOT has no instances here, and no trees of their own"
		[ "$base" = - ] || need_release base "$base"
		return
	fi
	is_digest "$tree" || fault usage "the tree is not a digest"
	case $base in
	- | =) ;;
	tree:*) is_digest "${base#tree:}" || fault usage "the base is not a tree's digest" ;;
	*) need_release base "$base" ;;
	esac
}

begin_partial() {
	partial=$PARTIALS/$token # a stage of an earlier holder may still be dying in its own
	part=$partial/tree
	meta=$partial/meta # beside the tree until the build is over: the build's user owns the tree
	# Of an earlier stage whose controller is gone; where there is none, systemd need not be asked.
	[ ! -e "/run/systemd/transient/botdeploy-build-$NAME.service" ] ||
		systemctl stop "botdeploy-build-$NAME" 2>/dev/null
	# What is said on the way is kept here too: a program that complains without end must not fill
	# /run, where the leases of every bot of this host are.
	rm -rf "$partial" && (umask 077 && mkdir -p "$part" "$meta") || fault write "cannot create $part"
	trap 'end_partial' EXIT
	trap 'exit 3' HUP INT TERM
}

end_partial() {
	[ -z "$INSTANCE" ] || disclaim_tree
	rm -rf "$partial" "$INCOMING" "$TREES/.incoming.$$"
	rmdir "$PARTIALS" 2>/dev/null
}

# stage_whole: the plain form: the release has its files in itself.
stage_whole() {
	need_space
	make_files
	note_stage "$meta" && mv -T "$meta" "$part/.botdeploy" && chmod 0755 "$part" "$part/.botdeploy" || fault_write "complete $part"
	bring_near "$RELEASES" "$INCOMING"
	sync -f "$part" || fault_write "sync the release to disk"
	need_lock "$token"
	audit_first stage "$id" "done" ""
	mv -T "$part" "$RELEASES/$id" && sync "$RELEASES" || fault_write "complete $RELEASES/$id"
}

# stage_with_tree: a named instance: its tree, made or found, and the release that links to it.
stage_with_tree() {
	ln -s "../../trees/$tree" "$partial/wants" || fault_write "write $partial"
	command exec 4>>"$partial/alive" && flock 4 || fault_write "write $partial"
	lock_store
	claim_tree
	if is_tree "$tree"; then
		unlock_store
		cat >/dev/null
	else
		hold_base
		unlock_store
		make_tree
	fi
	part=$partial/release
	mkdir "$part" || fault_write "create $part"
	find_data
	if [ -n "$predecessor" ]; then check_given "$place" "$data"; else check_mounts "$place"; fi || fault shared "$not_mountable"
	add_mounts "$meta/$UNIT"
	rm -f "$meta/sums" "$meta/tree" "$meta/shared" "$meta/build"
	ln -s "../../../../trees/$tree" "$part/tree" && note_stage "$meta" && mv -T "$meta" "$part/.botdeploy" &&
		chmod 0755 "$part" "$part/.botdeploy" || fault_write "complete $part"
	bring_near "$RELEASES" "$INCOMING"
	sync -f "$part" || fault_write "sync the release to disk"
	need_lock "$token"
	audit_first stage "$id" "done" ""
	mv -T "$part" "$RELEASES/$id" && sync "$RELEASES" || fault_write "complete $RELEASES/$id"
}

# make_tree: ours to make. Where somebody who was unheard for long has made it meanwhile, theirs is as good.
make_tree() {
	need_tree_name
	need_space
	rm -f "$meta/rebuilt" # only a build here says so
	make_files
	own=$partial/own
	mkdir "$own" || fault_write "create $own"
	for name in sums tree shared build rebuilt; do
		[ ! -e "$meta/$name" ] || mv -T "$meta/$name" "$own/$name" || fault_write "complete $part"
	done
	mv -T "$own" "$part/.botdeploy" && chmod 0755 "$part" "$part/.botdeploy" || fault_write "complete $part"
	bring_near "$TREES" "$TREES/.incoming.$$"
	sync -f "$part" || fault_write "sync the tree to disk"
	lock_store
	if is_tree "$tree"; then
		rm -rf "$part"
	else
		mv -T "$part" "$place" && sync "$TREES" || fault_write "complete $place"
	fi
	disclaim_tree
	unlock_store
}

note_stage() { # META
	printf 'rollout=%s\nring=%s\nowner=%s\nat=%s\n' "$rollout" "$ring" "$(field "$LOCK" owner)" "$(utc)" >"$1/staged"
}

# bring_near FOLDER INCOMING: where it is a volume of its own, one rename does not reach it.
bring_near() {
	rm -rf "$2"
	if [ "$(stat -c %d "$part")" != "$(stat -c %d "$1")" ]; then
		cp -a "$part" "$2" 2>"$partial/said" || fault_write "copy the release to $1"
		part=$2
	fi
}

# fault_write WHAT: end the act; a volume that is full is named.
fault_write() {
	fault_if_full "cannot $1"
	fault write "cannot $1"
}

fault_if_full() {
	for folder in "$partial" "$around" /tmp; do
		[ -d "$folder" ] && space_of "$folder" || continue
		if [ "$free_bytes" -lt 1000000 ]; then what=bytes; elif [ "$total_inodes" -gt 0 ] && [ "$free_inodes" -lt 10 ]; then what=inodes; else continue; fi
		fault no-space "$1: the volume $(stat -c %m "$folder") is full: of $((total_bytes / 1000000)) MB no $what are left. The incomplete release was removed"
	done
}

stage_failed() {
	fault_if_full "the release could not be unpacked"
	fault upload "the release did not unpack: $(tail -n 1 "$partial/said" 2>/dev/null)"
}

# A tenth of the disk stays free: a full disk is how a bot loses its data.
need_space() {
	space_for "$HOME_DIR"
	[ "$(stat -c %d "$HOME_DIR")" = "$(stat -c %d "$around")" ] || space_for "$around"
}

space_for() { # FOLDER
	space_of "$1" || fault write "cannot read the free space of $1"
	if [ $((free_bytes - need_bytes)) -lt $((total_bytes / 10)) ]; then
		fault no-space "the release needs $((need_bytes / 1000000)) MB; of $((total_bytes / 1000000)) MB on $1 $((free_bytes / 1000000)) MB are free, and a tenth ($((total_bytes / 10000000)) MB) must stay free"
	fi
	if [ "$total_inodes" -gt 0 ] && [ $((free_inodes - need_inodes)) -lt $((total_inodes / 10)) ]; then
		fault no-inodes "the release needs $need_inodes files; $1 has $free_inodes of $total_inodes inodes free, and a tenth must stay free"
	fi
}

# need_meta: plain files with plain names, the ones that must be there, a unit that is allowed.
need_meta() {
	odd=$(cd "$meta" && find . -mindepth 1 ! \( -type f -links 1 \) ! \( -type d -path ./credentials \) -print -quit)
	[ -z "$odd" ] || fault upload "the upload holds $odd, which is not a plain file"
	odd=$(cd "$meta" && find . -mindepth 2 ! -path './credentials/*' -print -quit)
	[ -z "$odd" ] || fault upload "the upload holds $odd, which does not belong in a release"
	odd=$(cd "$meta" && find . -mindepth 1 -name '*[!A-Za-z0-9._@-]*' -print -quit)
	[ -z "$odd" ] || fault upload "the upload holds $odd; a name may have A-Z, a-z, 0-9 and . _ @ - only"
	set -- digest "$UNIT"
	[ "$base" = = ] || set -- sums tree "$@"
	for name in "$@"; do
		[ -f "$meta/$name" ] || fault upload "the upload has no $name"
	done
	read -r digest files _ <"$meta/digest" || :
	is_id "$digest" && is_number "$files" || fault upload "the upload's digest is damaged"
	[ "$base" = = ] || need_sums
	chown -R root:root "$meta" && find "$meta" -type f -exec chmod 0644 {} + && chmod 0755 "$meta" ||
		fault write "cannot own $meta"
	for name in environment credentials; do
		[ ! -e "$meta/$name" ] || chmod -R u=rwX,go= "$meta/$name" || fault write "cannot own $meta/$name"
	done
	check_unit "$meta/$UNIT" || fault unit "$refusal"
}

need_sums() {
	# shellcheck disable=SC1003 # a backslash, by which sha256sum would mark an odd name
	! grep -qvE '^[0-9a-f]{64}  [^/]' "$meta/sums" && ! cut -c 67- "$meta/sums" | grep -qE '(^|/)\.\.?(/|$)|//|\\' ||
		fault upload "the sums name a path that leaves the release"
}

# hold_base: with the store locked: the tree to copy from stays until this is over.
hold_base() {
	case $base in
	-) return 0 ;;
	tree:*) held=${base#tree:} ;;
	*)
		find_files "$base"
		held=${files##*/}
		;;
	esac
	ln -s "../../trees/$held" "$partial/base" || fault_write "write $partial"
}
