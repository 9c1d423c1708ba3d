# rollout: which rollout this host takes part in. It writes ROLLOUT.
#
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
