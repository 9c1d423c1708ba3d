# rollout: which rollout this host takes part in. It writes ROLLOUT.
#
#   begin TOKEN ROLLOUT ID RING           the release is here already: only note the rollout
#   end TOKEN ROLLOUT OUTCOME WHY         it passed, failed or was abandoned

act_begin() {
	token=${1:-} rollout=${2:-} id=${3:-} ring=${4:-}
	need_lock "$token"
	need_id rollout "$rollout"
	need_release release "$id"
	need_ring "$ring"
	is_complete "$id" || fault not-staged "release $id is not on this host"
	note_rollout
	emit '{"begun": true}'
}

# find_same: what runs here where all that has come is the same but for the release's id, in $same: files,
# unit, environment, readiness, secrets. Only what is proven and runs: it goes on, and nothing is stopped.
find_same() {
	same=''
	link_of "$CURRENT"
	old=$linked
	[ "$old" != "$id" ] && is_return_target "$old" && is_running "$old" && [ "$running" = "$old" ] || return 0
	is_same_tree "$old" || return 0
	old_meta=$RELEASES/$old/.botdeploy
	[ "$(ls "$meta/credentials" 2>/dev/null)" = "$(ls "$old_meta/credentials" 2>/dev/null)" ] || return 0
	set +f
	for file in "$meta"/*.service "$meta/environment" "$meta/ready" "$meta/numbers" "$meta/credentials"/*; do
		file=${file#"$meta/"}
		[ -e "$meta/$file" ] || [ -e "$old_meta/$file" ] || continue
		[ "$(without_id "$meta/$file" "$id")" = "$(without_id "$old_meta/$file" "$old")" ] || { set -f; return 0; }
	done
	set -f
	same=$old
}

# find_changed: the names of variables and credentials that have other values than in what runs here, where that is
# the same release but for values, in $changed. Those that "shown" has: no line of it is a part of a secret.
find_changed() {
	changed=''
	link_of "$CURRENT"
	[ "${linked%+*}" = "${id%+*}" ] && [ "$linked" != "$id" ] || return 0
	was=$RELEASES/$linked/.botdeploy
	for file in "$meta" "$was"; do [ -r "$file/shown" ] && [ -r "$file/environment" ] || return 0; done
	changed=$({
		# shellcheck disable=SC2016 # awk's
		awk '
			FNR == 1 { last = "" }
			{ name = substr($0, 1, index($0, "=") - 1) }
			of == "" { if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) known[name] = 1; next }
			name in known { last = name }
			{ value[of, last] = value[of, last] $0 "\n" }
			END {
				delete known["BOTDEPLOY_RELEASE"]
				for (name in known) if (value["new", name] != value["old", name]) print name
			}' "$meta/shown" "$was/shown" of=new "$meta/environment" of=old "$was/environment"
		find "$meta/credentials" "$was/credentials" -type f -printf '%f\n' 2>/dev/null | while read -r name; do
			is_id "$name" && [ -f "$meta/credentials/$name" ] || continue
			cmp -s "$meta/credentials/$name" "$was/credentials/$name" || printf '%s\n' "$name"
		done
	} | sort -u | tr '\n' ' ')
}

# is_same_tree RELEASE: has it the files, and the build of them, that have come?
is_same_tree() {
	find_files "$1"
	if [ -n "$INSTANCE" ]; then
		[ "${files##*/}" = "$tree" ]
		return
	fi
	for file in sums tree shared build; do
		[ "$(sha256sum 2>/dev/null <"$meta/$file")" = "$(sha256sum 2>/dev/null <"$files/.botdeploy/$file")" ] || return 1
	done
}

# without_id FILE RELEASE: its content without the release's id, and without what botdeploy added.
without_id() {
	case $1 in
	*.service) without_mounts "$1" ;;
	*) cat "$1" ;;
	esac 2>/dev/null | sed "s/$2/ID/g"
	printf .
}

note_rollout() { # [SAME]
	theirs=$(field "$ROLLOUT" environment) environment=$(field "$LOCK" environment)
	[ "$(field "$ROLLOUT" id)" != "$rollout" ] || [ "$(field "$ROLLOUT" release)" != "$id" ] ||
		[ "$(field "$ROLLOUT" ring)" != "$ring" ] || [ -n "$(field "$ROLLOUT" outcome)" ] ||
		[ "$(field "$ROLLOUT" same)" != "${1:-}" ] || return 0
	since=''
	[ "$(field "$ROLLOUT" id)" != "$rollout" ] || since=$(field "$ROLLOUT" since)
	[ -z "$theirs" ] || [ -z "$environment" ] || [ "$theirs" = "$environment" ] ||
		audit_first take-over "$id" "done" "environment $environment took it over from $theirs"
	audit_first begin "$id" "done" "$(field "$LOCK" why)"
	if [ -n "${1:-}" ]; then read -r digest _ <"$meta/digest"; else digest_of "$id"; fi
	printf 'id=%s\nrelease=%s\ndigest=%s\nring=%s\nsince=%s\nowner=%s\nwhy=%s\nenvironment=%s\nsame=%s\n' "$rollout" "$id" "$digest" \
		"$ring" "${since:-$(utc)}" "$(field "$LOCK" owner)" "$(field "$LOCK" why)" "${environment:-$theirs}" "${1:-}" | put "$ROLLOUT" ||
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
