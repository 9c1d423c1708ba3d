# stage: put a complete, verified release beside the others. Nothing that runs is touched.
#
#   stage TOKEN ID BASE META_BYTES NEED_BYTES NEED_INODES
#
# Standard input: META_BYTES of a tar with what becomes .botdeploy/ (sums, tree, digest, unit,
# environment, ready …), then a gzip tar with the files that BASE (a release here, or "-") does not have.
# What both have is copied from BASE, never linked: a bot that appends to a linked file would
# change the release to return to. Then every file is verified, built, synced, and renamed in.

act_stage() {
	token=${1:-} id=${2:-} base=${3:-} meta_bytes=${4:-} need_bytes=${5:-} need_inodes=${6:-}
	need_lock "$token"
	need_id release "$id"
	[ "$base" = - ] || need_id base "$base"
	need_number meta_bytes "$meta_bytes"
	need_number need_bytes "$need_bytes"
	need_number need_inodes "$need_inodes"
	if is_complete "$id"; then
		cat >/dev/null
		emit "{\"staged\": \"$id\", \"already\": true}"
		return 0
	fi
	user=$(run_as)
	need_space
	part=$PARTIAL/$id
	meta=$PARTIAL/meta # beside the tree until the build is over: the build's user owns the tree
	systemctl stop "botdeploy-build-$BOT" 2>/dev/null
	rm -rf "$PARTIAL" && mkdir -p "$part" "$meta" && chmod 0700 "$PARTIAL" || fault write "cannot create $part"
	trap 'rm -rf "$PARTIAL"' EXIT
	head -c "$meta_bytes" | tar -x -f - -C "$meta" --no-same-owner -p 2>"$RUN/stage.err" || stage_failed
	[ -f "$meta/sums" ] && [ -f "$meta/tree" ] && [ -f "$meta/digest" ] || fault upload "the upload is incomplete"
	copy_base
	tar -xz -f - -C "$part" --no-same-owner -p 2>"$RUN/stage.err" || stage_failed
	verify_tree
	own_tree
	link_shared
	build_release
	mv -T "$meta" "$part/.botdeploy" || fault write "cannot complete $part"
	sync -f "$part" || fault write "cannot sync the release to disk"
	chmod 0755 "$part"
	mv -T "$part" "$RELEASES/$id" && sync "$RELEASES" || fault write "cannot complete $RELEASES/$id"
	emit "{\"staged\": \"$id\", \"already\": false}"
}

stage_failed() {
	fault upload "the release did not unpack: $(tail -n 1 "$RUN/stage.err" 2>/dev/null)"
}

# A tenth of the disk stays free: a full disk is how a bot loses its data.
need_space() {
	df -P -B1 "$HOME_DIR" | {
		read -r _
		read -r _ total _ free _
		after=$((free - need_bytes))
		[ "$after" -ge $((total / 10)) ] || fault no-space "the release needs $((need_bytes / 1000000)) MB; of $((total / 1000000)) MB on $HOME_DIR $((free / 1000000)) MB are free, and a tenth ($((total / 10000000)) MB) must stay free"
	} || exit 1
	df -Pi "$HOME_DIR" | {
		read -r _
		read -r _ total _ free _
		case $total in 0 | *[!0-9]* | '') exit 0 ;; esac
		[ $((free - need_inodes)) -ge $((total / 10)) ] || fault no-inodes "the release needs $need_inodes files; $HOME_DIR has $free of $total inodes free, and a tenth must stay free"
	} || exit 1
}

copy_base() {
	[ "$base" = - ] && return 0
	[ -f "$RELEASES/$base/.botdeploy/sums" ] || fault no-base "release $base is not here to copy from"
	# The sums of both are sorted by the controller's rule; comm wants the locale's, which is C.
	sort "$RELEASES/$base/.botdeploy/sums" >"$meta/base.sorted" &&
		sort "$meta/sums" | comm -12 "$meta/base.sorted" - | cut -c 67- | tr '\n' '\000' >"$meta/kept" ||
		fault write "cannot compare with $base"
	(cd "$RELEASES/$base" && xargs -0 -r cp -a --reflink=auto --parents -t "$part" <"$meta/kept") 2>"$RUN/stage.err" ||
		fault write "cannot copy from $base: $(tail -n 1 "$RUN/stage.err")"
	rm -f "$meta/base.sorted" "$meta/kept"
}

verify_tree() {
	(cd "$part" && { [ ! -s "$meta/sums" ] || sha256sum -c --quiet --strict "$meta/sums"; }) >"$RUN/stage.err" 2>&1 ||
		fault corrupt "a file differs from what was sent: $(head -n 1 "$RUN/stage.err")"
	(cd "$part" && find . -mindepth 1 -printf '%y %m %P %l\n' | sort) |
		cmp -s - "$meta/tree" || fault corrupt "the tree differs from what was sent"
}

own_tree() {
	chown -R root:root "$part" && chmod 0755 "$meta" || fault write "cannot own $part"
	for name in environment credentials; do
		[ ! -e "$meta/$name" ] || chmod -R go-rwx "$meta/$name"
	done
}

link_shared() {
	[ -f "$meta/shared" ] || return 0
	while IFS= read -r name; do
		case $name in '' | /* | *..*) fault usage "shared path $name leaves the release" ;; esac
		if [ -e "$part/$name" ] || [ -L "$part/$name" ]; then
			fault shared "the release holds $name, which is shared data; remove it from the source or from shared:"
		fi
		if [ ! -e "$HOME_DIR/shared/$name" ]; then
			mkdir -p "$HOME_DIR/shared/$name" && chown "$user:" "$HOME_DIR/shared/$name" && chmod 0750 "$HOME_DIR/shared/$name" ||
				fault write "cannot create $HOME_DIR/shared/$name"
		fi
		case $name in */*) mkdir -p "$part/${name%/*}" ;; esac
		ln -s "$HOME_DIR/shared/$name" "$part/$name" || fault write "cannot link $name"
	done <"$meta/shared"
}

# The build runs as the bot's user, sees the release under its final path (a virtual environment
# keeps absolute paths), and everything it started dies with its own control group.
build_release() {
	[ -s "$meta/build" ] || return 0
	[ ! -e "$part/.botdeploy" ] || fault usage "the name .botdeploy is reserved"
	script=${RUN%/*}/$BOT.build
	cp "$meta/build" "$script" && chmod 0644 "$script" && chmod 0711 "$PARTIAL" &&
		chown -R -h "$user:" "$part" || fault write "cannot prepare the build"
	systemd-run -q --wait --collect --pipe --unit="botdeploy-build-$BOT" \
		-p User="$user" -p WorkingDirectory="$RELEASES/$id" -p KillMode=control-group \
		-p TemporaryFileSystem="$RELEASES" -p BindPaths="$part:$RELEASES/$id" \
		-p PrivateTmp=yes -p NoNewPrivileges=yes -p RuntimeMaxSec=1800 \
		-p Environment="HOME=/tmp" \
		/bin/sh -e "$script" </dev/null >"$RUN/build.log" 2>&1
	rc=$?
	rm -f "$script"
	if [ "$rc" -ne 0 ]; then
		fault build "the build ended with $rc: $(tail -n 15 "$RUN/build.log" | tr '\n' '|')"
	fi
	chown -R -h root:root "$part" && chmod -R go-w,u-s,g-s "$part" || fault write "cannot own $part"
	own_tree
}
