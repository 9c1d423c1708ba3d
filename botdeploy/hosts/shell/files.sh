# files: the files of a release, made of what was sent and of what its base has, verified and built.
# Used by stage. It writes its partial folder and SHARED.

# make_files: what was sent and what is copied becomes the files in $part, as they will be in $place. The
# folder $around is out of a build's sight.
make_files() {
	copy_base
	gzip -dcq | tar -x -f - -C "$part" --no-same-owner -p 2>"$partial/said" || stage_failed
	true >"$partial/arrived" || fault_write "write $partial"
	verify_tree
	if [ -n "$INSTANCE" ]; then make_mount_points; else link_shared; fi
	build_release
	[ -z "$INSTANCE" ] || need_mount_points
}

copy_base() {
	case $base in
	-) return 0 ;;
	tree:*) from=$TREES/${base#tree:} ;;
	*)
		find_files "$base"
		from=$files
		;;
	esac
	[ -f "$from/.botdeploy/sums" ] || fault no-base "release $base is not on this host to copy from"
	[ ! -e "$from/.botdeploy/rebuilt" ] || fault no-base "release $base was changed by its build"
	# The sums of both are sorted by the controller's rule; comm wants the locale's, which is C.
	sort "$from/.botdeploy/sums" >"$partial/base-sums" &&
		sort "$meta/sums" | comm -12 "$partial/base-sums" - | cut -c 67- | tr '\n' '\000' >"$partial/kept" ||
		fault write "cannot compare with $base"
	(cd "$from" && xargs -0 -r cp -a --reflink=auto --parents -t "$part" -- <"$partial/kept") 2>"$partial/said" ||
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
	find_data # a predecessor's comes when this one starts
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
		[ -n "$predecessor" ] || make_entry || fault write "cannot create $SHARED/$name as $user"
		case $name in */*) mkdir -p "$part/${name%/*}" ;; esac
		ln -s "$SHARED/$name" "$part/$name" || fault write "cannot link $name"
	done <"$meta/shared"
}

make_entry() {
	# shellcheck disable=SC2016 # for the inner shell
	[ -e "$SHARED/$name" ] ||
		runuser -u "$user" -- sh -c 'umask 027; exec mkdir -p -- "$1"' sh "$SHARED/$name" </dev/null >/dev/null 2>&1
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
		systemd-run -q --wait --collect --pipe --unit="botdeploy-build-$NAME" \
			-p User="$user" -p WorkingDirectory="$place" -p KillMode=control-group \
			-p TemporaryFileSystem="$around" -p BindPaths="$part:$place" \
			-p BindReadOnlyPaths="$script:$around/.build" \
			-p PrivateTmp=yes -p PrivateUsers="$apart" -p NoNewPrivileges=yes -p RuntimeMaxSec=1800 -p UMask=0022 \
			-p Environment="HOME=/tmp" \
			/bin/sh -e "$around/.build" </dev/null 2>&1
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
	systemd-run -q --wait --collect --pipe --unit="botdeploy-modes-$NAME" \
		-p User="$user" -p WorkingDirectory="$place" \
		-p TemporaryFileSystem="$around" -p BindPaths="$part:$place" \
		-p PrivateUsers="$apart" -p NoNewPrivileges=yes \
		chmod -R u+rX,g+rX,go-w,u-s,g-s . </dev/null >"$partial/said" 2>&1 ||
		fault build "the modes of its files cannot be set: $(tail -n 1 "$partial/said")"
	chown -R -h "root:$(id -gn "$user")" "$part" || fault write "cannot own $part"
	odd=$(find "$part" ! -type l \( ! -user root -o -perm /6022 \) -printf './%P' -quit)
	[ -z "$odd" ] || fault build "$odd was changed by somebody after the build had ended"
	[ ! -e "$part/.botdeploy" ] && [ ! -L "$part/.botdeploy" ] || fault build "the build made .botdeploy, a name that is reserved"
	# A build that changed what was sent makes a release that no other can be copied from.
	(sums_are_of_files && cd "$part" && { [ ! -s "$meta/sums" ] || sha256sum -c --status --strict -- "$meta/sums"; }) 2>/dev/null ||
		true >"$meta/rebuilt" || fault_write "write $meta"
}
