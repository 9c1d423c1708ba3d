# observe: say what truly stands and runs here. Changes nothing.
#
#   observe
#
# One record {"state": {...}}; every figure is read now, none is remembered.

act_observe() {
	emit "{\"state\": $(observed)}"
}

observed() {
	prepare_run
	unit_state
	printf '{"boot_id": "%s", "uptime_s": %s, "at": "%s"' \
		"$(cat /proc/sys/kernel/random/boot_id)" "$(uptime_s)" "$(utc)"
	printf ', "current": "%s", "previous": "%s", "running": "%s"' \
		"$(release_of_link current)" "$(release_of_link previous)" "$(running_release)"
	printf ', "active_state": "%s", "sub_state": "%s", "restarts": %s, "result": "%s"' \
		"$ActiveState" "$SubState" "$NRestarts" "$Result"
	printf ', "invocation": "%s", "active_since_us": %s, "prepared": %s' \
		"$InvocationID" "${ActiveEnterTimestampMonotonic:-0}" \
		"$([ -d "$STATE/proven" ] && printf true || printf false)"
	printf ', "phase": '
	observed_phase
	printf ', "releases": ['
	observed_releases
	printf '], "quarantine": {'
	observed_quarantine
	printf '}, "lock": '
	if [ "$(lock_left)" -gt 0 ]; then lock_record; else printf null; fi
	printf ', "disk": '
	observed_disk
	printf '}'
}

observed_phase() {
	for phase in reverting pending; do
		[ -e "$STATE/$phase" ] || continue
		printf '{"phase": "%s", "run": "%s", "new": "%s", "old": "%s", "lease_left_s": %s, "guard": "%s"}' \
			"$phase" "$(field "$STATE/$phase" run)" "$(field "$STATE/$phase" new)" \
			"$(field "$STATE/$phase" old)" "$(lease_left)" \
			"$(systemctl is-active "$GUARD" 2>/dev/null)"
		return
	done
	last=confirmed
	[ "$STATE/reverted" -nt "$STATE/confirmed" ] && last=reverted
	if [ -e "$STATE/$last" ]; then
		printf '{"phase": "%s", "run": "%s", "new": "%s", "old": "%s", "by": "%s", "why": %s}' \
			"$last" "$(field "$STATE/$last" run)" "$(field "$STATE/$last" new)" \
			"$(field "$STATE/$last" old)" "$(field "$STATE/$last" by)" \
			"$(quoted "$(field "$STATE/$last" why)")"
	else
		printf null
	fi
}

observed_releases() {
	sep=''
	set +f
	for folder in "$RELEASES"/*/; do
		folder=${folder%/}
		id=${folder##*/}
		[ -r "$folder/.botdeploy/digest" ] || continue
		read -r digest files _ <"$folder/.botdeploy/digest"
		is_proven "$id" && proven=true || proven=false
		printf '%s{"id": "%s", "digest": "%s", "files": "%s", "proven": %s}' \
			"$sep" "$id" "$digest" "$files" "$proven"
		sep=', '
	done
	set -f
}

observed_quarantine() {
	sep=''
	set +f
	for mark in "$STATE"/quarantine/*; do
		[ -e "$mark" ] || continue
		read -r why <"$mark" || why=''
		printf '%s"%s": %s' "$sep" "${mark##*/}" "$(quoted "$why")"
		sep=', '
	done
	set -f
}

observed_disk() {
	place=$HOME_DIR
	[ -d "$place" ] || place=/opt
	df -P -B1 "$place" 2>/dev/null | {
		read -r _
		read -r _ total _ free _
		printf '{"total_bytes": %s, "free_bytes": %s' "${total:-0}" "${free:-0}"
	}
	df -Pi "$place" 2>/dev/null | {
		read -r _
		read -r _ total _ free _
		case $total in *[!0-9]* | '') total=0 ;; esac
		case $free in *[!0-9]* | '') free=0 ;; esac
		printf ', "total_inodes": %s, "free_inodes": %s' "$total" "$free"
	}
	[ -w "$place" ] && printf ', "writable": true}' || printf ', "writable": false}'
}

lease_left() {
	[ -r "$RUN/lease" ] || { printf 0; return; }
	read -r deadline <"$RUN/lease"
	left=$((deadline - $(uptime_s)))
	[ "$left" -gt 0 ] && printf '%s' "$left" || printf 0
}
