# stage: put a complete, verified release beside the others. Nothing that runs is touched. It writes
# RELEASES, PARTIALS, SHARED and ROLLOUT.
#
#   stage TOKEN ID BASE META_BYTES NEED_BYTES NEED_INODES ROLLOUT RING
#
# Standard input: META_BYTES of a gzip tar with what becomes .botdeploy/ (sums, tree, digest, unit,
# environment, ready …), then a gzip tar with the files that BASE (a release here, or "-") does
# not have. What both have is copied from BASE, never linked: a bot that appends to a linked file
# would change the release to return to. Then every file is verified, built, synced, renamed in.
#
# What arrives is not trusted: whoever may deploy the bot must not become root by what it holds.

act_stage() {
	token=${1:-} id=${2:-} base=${3:-} meta_bytes=${4:-} need_bytes=${5:-} need_inodes=${6:-}
	rollout=${7:-} ring=${8:-}
	need_lock "$token"
	need_id release "$id"
	[ "$base" = - ] || need_id base "$base"
	need_number meta_bytes "$meta_bytes"
	need_number need_bytes "$need_bytes"
	need_number need_inodes "$need_inodes"
	need_id rollout "$rollout"
	need_ring "$ring"
	if is_complete "$id"; then
		cat >/dev/null
		note_rollout
		emit "{\"staged\": \"$id\", \"already\": true}"
		return 0
	fi
	run_as
	need_space
	partial=$PARTIALS/$token # a stage of an earlier holder may still be dying in its own
	part=$partial/tree
	meta=$partial/meta # beside the tree until the build is over: the build's user owns the tree
	# Of an earlier stage whose controller is gone; where there is none, systemd need not be asked.
	[ ! -e "/run/systemd/transient/botdeploy-build-$BOT.service" ] ||
		systemctl stop "botdeploy-build-$BOT" 2>/dev/null
	# What is said on the way is kept here too: a program that complains without end must not fill
	# /run, where the leases of every bot of this host are.
	rm -rf "$partial" && (umask 077 && mkdir -p "$part" "$meta") || fault write "cannot create $part"
	trap 'rm -rf "$partial" "$INCOMING"; rmdir "$PARTIALS" 2>/dev/null' EXIT
	trap 'exit 3' HUP INT TERM
	head -c "$meta_bytes" | gzip -dcq | tar -x -f - -C "$meta" --no-same-owner 2>"$partial/said" || stage_failed
	need_meta
	copy_base
	gzip -dcq | tar -x -f - -C "$part" --no-same-owner -p 2>"$partial/said" || stage_failed
	verify_tree
	link_shared
	build_release
	printf 'rollout=%s\nring=%s\nowner=%s\nat=%s\n' "$rollout" "$ring" "$(field "$LOCK" owner)" "$(utc)" >"$meta/staged" &&
		mv -T "$meta" "$part/.botdeploy" && chmod 0755 "$part" "$part/.botdeploy" || fault_write "complete $part"
	# Where releases/ is a volume of its own, one rename does not reach it.
	rm -rf "$INCOMING"
	if [ "$(stat -c %d "$part")" != "$(stat -c %d "$RELEASES")" ]; then
		cp -a "$part" "$INCOMING" 2>"$partial/said" || fault_write "copy the release to $RELEASES"
		part=$INCOMING
	fi
	sync -f "$part" || fault_write "sync the release to disk"
	need_lock "$token"
	audit_first stage "$id" "done" ""
	mv -T "$part" "$RELEASES/$id" && sync "$RELEASES" || fault_write "complete $RELEASES/$id"
	note_rollout
	emit "{\"staged\": \"$id\", \"already\": false}"
}

# fault_write WHAT: end the act; a volume that is full is named.
fault_write() {
	fault_if_full "cannot $1"
	fault write "cannot $1"
}

fault_if_full() {
	for folder in "$partial" "$RELEASES" /tmp; do
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
	[ "$(stat -c %d "$HOME_DIR")" = "$(stat -c %d "$RELEASES")" ] || space_for "$RELEASES"
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
	for name in sums tree digest "$UNIT"; do
		[ -f "$meta/$name" ] || fault upload "the upload has no $name"
	done
	read -r digest files _ <"$meta/digest" || :
	is_id "$digest" && is_number "$files" || fault upload "the upload's digest is damaged"
	# shellcheck disable=SC1003 # a backslash, by which sha256sum would mark an odd name
	! grep -qvE '^[0-9a-f]{64}  [^/]' "$meta/sums" && ! cut -c 67- "$meta/sums" | grep -qE '(^|/)\.\.?(/|$)|//|\\' ||
		fault upload "the sums name a path that leaves the release"
	chown -R root:root "$meta" && find "$meta" -type f -exec chmod 0644 {} + && chmod 0755 "$meta" ||
		fault write "cannot own $meta"
	for name in environment credentials; do
		[ ! -e "$meta/$name" ] || chmod -R u=rwX,go= "$meta/$name" || fault write "cannot own $meta/$name"
	done
	check_unit "$meta/$UNIT" || fault unit "$refusal"
}

copy_base() {
	[ "$base" = - ] && return 0
	[ -f "$RELEASES/$base/.botdeploy/sums" ] || fault no-base "release $base is not on this host to copy from"
	[ ! -e "$RELEASES/$base/.botdeploy/rebuilt" ] || fault no-base "release $base was changed by its build"
	# The sums of both are sorted by the controller's rule; comm wants the locale's, which is C.
	sort "$RELEASES/$base/.botdeploy/sums" >"$partial/base" &&
		sort "$meta/sums" | comm -12 "$partial/base" - | cut -c 67- | tr '\n' '\000' >"$partial/kept" ||
		fault write "cannot compare with $base"
	(cd "$RELEASES/$base" && xargs -0 -r cp -a --reflink=auto --parents -t "$part" -- <"$partial/kept") 2>"$partial/said" ||
		fault_write "copy from $base: $(tail -n 1 "$partial/said")"
}

# Every name in the sums is a plain file here. Behind a link sha256sum would read, as root, what is
# somebody else's, and tell whether a guess at it was right.
sums_are_of_files() {
	(cd "$part" && find . -type f -printf '%P\0') | sort -z >"$partial/files" &&
		strangers=$(cut -c 67- "$meta/sums" | tr '\n' '\000' | sort -z | comm -z -13 "$partial/files" - | tr '\000' ' ') &&
		[ -z "$strangers" ]
}

verify_tree() {
	odd=$(cd "$part" && find . -mindepth 1 \( ! -type f ! -type d ! -type l -o -perm /6000 -o -type f -links +1 -o -path ./.botdeploy \
		-o -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' \) -print -quit)
	[ -z "$odd" ] || fault upload "the release holds $odd, which no release may hold"
	sums_are_of_files || fault corrupt "the sums name something that is not a file of the release"
	(cd "$part" && { [ ! -s "$meta/sums" ] || sha256sum -c --quiet --strict -- "$meta/sums"; }) >"$partial/said" 2>&1 ||
		fault corrupt "a file differs from what was sent: $(head -n 1 "$partial/said")"
	(cd "$part" && find . -mindepth 1 -printf '%y %m %P %l\n' | sort) |
		cmp -s - "$meta/tree" || fault corrupt "the tree differs from what was sent"
	chown -R root:root "$part" && chmod -R go-w "$part" || fault write "cannot own $part"
}

# Shared data is made by the bot's user and below a folder of its own: as root, a link that the bot
# has put there would lead anywhere. For the same reason no part of the link's own way is a link.
link_shared() {
	[ -f "$meta/shared" ] || return 0
	while IFS= read -r name || [ -n "$name" ]; do
		case /$name/ in //* | */../* | */./* | *//*) fault usage "shared path $name leaves the release" ;; esac
		if [ -e "$part/$name" ] || [ -L "$part/$name" ]; then
			fault shared "the release holds $name, which is shared data; remove it from the source or from shared:"
		fi
		above=$name
		while case $above in */*) true ;; *) false ;; esac do
			above=${above%/*}
			[ ! -L "$part/$above" ] || fault shared "$above is a link in the release, and $name would lie behind it"
		done
		# shellcheck disable=SC2016 # for the inner shell
		[ -e "$SHARED/$name" ] ||
			runuser -u "$user" -- sh -c 'umask 027; exec mkdir -p -- "$1"' sh "$SHARED/$name" </dev/null >/dev/null 2>&1 ||
			fault write "cannot create $SHARED/$name as $user"
		case $name in */*) mkdir -p "$part/${name%/*}" ;; esac
		ln -s "$SHARED/$name" "$part/$name" || fault write "cannot link $name"
	done <"$meta/shared"
}

# The build runs as the bot's user, sees the release under its final path (a virtual environment
# keeps absolute paths), and everything it started dies with its own control group. Its user
# namespace, where the kernel has them, keeps the running bot, which has the same user, from reaching
# in by /proc/PID/cwd.
build_release() {
	[ -s "$meta/build" ] || return 0
	script=$partial/build # BindReadOnlyPaths takes it from a folder that its user can't enter
	cp "$meta/build" "$script" && chown "$user:" "$script" && chmod 0400 "$script" &&
		chown -R -h "$user:" "$part" || fault write "cannot prepare the build"
	apart=no most=0
	[ ! -r /proc/sys/user/max_user_namespaces ] || read -r most </proc/sys/user/max_user_namespaces
	[ "$most" = 0 ] || apart=yes
	# Of its output the end is kept, and no more: it may be without end.
	{
		systemd-run -q --wait --collect --pipe --unit="botdeploy-build-$BOT" \
			-p User="$user" -p WorkingDirectory="$RELEASES/$id" -p KillMode=control-group \
			-p TemporaryFileSystem="$RELEASES" -p BindPaths="$part:$RELEASES/$id" \
			-p BindReadOnlyPaths="$script:$RELEASES/.build" \
			-p PrivateTmp=yes -p PrivateUsers="$apart" -p NoNewPrivileges=yes -p RuntimeMaxSec=1800 -p UMask=0022 \
			-p Environment="HOME=/tmp" \
			/bin/sh -e "$RELEASES/.build" </dev/null 2>&1
		printf '%s\n' $? >"$partial/rc"
	} | tail -c 8000 >"$partial/said"
	rc=''
	read -r rc <"$partial/rc" || :
	rm -f "$script"
	if [ "$rc" != 0 ]; then
		fault_if_full "the build ended with ${rc:-no status}"
		fault build "the build ended with ${rc:-no status}: $(tail -n 15 "$partial/said" | tr '\n' '|')"
	fi
	# What the build made for its user alone stays readable for that one, by its group. Modes are
	# changed with its own rights: it may have handed a folder to somebody outside, who now puts
	# links in the place of files. What that one still holds afterwards makes no release.
	# In a user namespace as well: the bot could reach in by this process as by the build's.
	systemd-run -q --wait --collect --pipe --unit="botdeploy-modes-$BOT" \
		-p User="$user" -p WorkingDirectory="$RELEASES/$id" \
		-p TemporaryFileSystem="$RELEASES" -p BindPaths="$part:$RELEASES/$id" \
		-p PrivateUsers="$apart" -p NoNewPrivileges=yes \
		chmod -R u+rX,g+rX,go-w,u-s,g-s . </dev/null >"$partial/said" 2>&1 ||
		fault build "the modes of its files cannot be set: $(tail -n 1 "$partial/said")"
	chown -R -h "root:$(id -gn "$user")" "$part" || fault write "cannot own $part"
	odd=$(find "$part" ! -type l \( ! -user root -o -perm /6022 \) -printf './%P' -quit)
	[ -z "$odd" ] || fault build "$odd was changed by somebody after the build had ended"
	[ ! -e "$part/.botdeploy" ] && [ ! -L "$part/.botdeploy" ] || fault build "the build made .botdeploy, a name that is reserved"
	# A build that changed what was sent makes a release that no other can be copied from.
	(sums_are_of_files && cd "$part" && { [ ! -s "$meta/sums" ] || sha256sum -c --status --strict -- "$meta/sums"; }) 2>/dev/null ||
		: >"$meta/rebuilt"
}

# --- which rollout this host takes part in -------------------------------------------------------

#   begin TOKEN ROLLOUT ID RING           the release is here already: only note the rollout
#   end TOKEN ROLLOUT OUTCOME WHY         it passed, failed or was abandoned

act_begin() {
	token=${1:-} rollout=${2:-} id=${3:-} ring=${4:-}
	need_lock "$token"
	need_id rollout "$rollout"
	need_id release "$id"
	need_ring "$ring"
	is_complete "$id" || fault not-staged "release $id is not on this host"
	note_rollout
	emit '{"begun": true}'
}

note_rollout() {
	theirs=$(field "$ROLLOUT" environment) environment=$(field "$LOCK" environment)
	[ "$(field "$ROLLOUT" id)" != "$rollout" ] || [ "$(field "$ROLLOUT" release)" != "$id" ] ||
		[ "$(field "$ROLLOUT" ring)" != "$ring" ] || [ -n "$(field "$ROLLOUT" outcome)" ] || return 0
	since=''
	[ "$(field "$ROLLOUT" id)" != "$rollout" ] || since=$(field "$ROLLOUT" since)
	[ -z "$theirs" ] || [ -z "$environment" ] || [ "$theirs" = "$environment" ] ||
		audit_first take-over "$id" "done" "environment $environment took it over from $theirs"
	audit_first begin "$id" "done" "$(field "$LOCK" why)"
	digest_of "$id"
	printf 'id=%s\nrelease=%s\ndigest=%s\nring=%s\nsince=%s\nowner=%s\nwhy=%s\nenvironment=%s\n' "$rollout" "$id" "$digest" \
		"$ring" "${since:-$(utc)}" "$(field "$LOCK" owner)" "$(field "$LOCK" why)" "${environment:-$theirs}" | put "$ROLLOUT" ||
		fault write "cannot write $ROLLOUT"
}

act_end() {
	need_lock "${1:-}"
	need_id rollout "${2:-}"
	need_line reason "${4:-}"
	case ${3:-} in passed | failed | abandoned) ;; *) fault usage "the outcome is passed, failed or abandoned" ;; esac
	if [ "$(field "$ROLLOUT" id)" = "$2" ] && [ "$(field "$ROLLOUT" outcome)" != "$3" ]; then
		audit_first end "$(field "$ROLLOUT" release)" "$3" "$4"
		{ grep -v '^outcome=\|^ended=\|^ended_why=' "$ROLLOUT"; printf 'outcome=%s\nended=%s\nended_why=%s\n' "$3" "$(utc)" "$4"; } |
			put "$ROLLOUT" || fault write "cannot write $ROLLOUT"
	fi
	emit '{"ended": true}'
}
