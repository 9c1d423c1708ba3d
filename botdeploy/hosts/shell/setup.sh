# setup: what an administrator does once on a host, so that a user without rights may deploy. It writes
# LIBRARY, SUDOERS and all that prepare writes.
#
#   setup [--dry-run] USER [DEPLOYER]
#
# The bot runs as USER. DEPLOYER is who logs in to deploy: may run exactly this program for exactly
# this bot by sudo, nothing else, and may read the journal. Who was set up before for this bot stays so, and
# all get this program; older programs of the bot go, and its instances get guards of this program, unless
# something is open here. One record {"change": text} for each thing that is not yet so; a second time
# there is none. Comes over standard input and never through the
# narrow rights themselves: with them, nobody changes them.

act_setup() {
	dry=false
	if [ "${1:-}" = --dry-run ]; then
		dry=true
		shift
	fi
	wanted_user=${1:-} deployer=${2:-}
	case $PROGRAM in */*) fault usage "setup is for administrators: botdeploy sends it over standard input" ;; esac
	[ -n "${BOTDEPLOY_TEXT:-}" ] || fault usage "setup needs the program's text"
	is_name "$wanted_user" || fault usage "user is not a user's name"
	if [ -n "$deployer" ]; then
		is_login "$deployer" || fault usage "$deployer is not a user's name"
		id -u "$deployer" >/dev/null 2>&1 || fault user "there is no user $deployer on this host"
		[ "$deployer" != "$wanted_user" ] || fault user "the bot must not run as the user who deploys it"
	fi
	[ "$dry" = true ] || prepare_run
	text=${BOTDEPLOY_TEXT%.}
	sum=$(printf %s "$text" | sha256sum)
	sum=${sum%% *}
	PROGRAM=$LIBRARY/$(printf %.12s "$sum")/$BOT
	refuse_foreign
	setup_program
	setup_place
	find_deployers
	[ -z "$deployers" ] || setup_rights
	[ "$dry" = true ] || is_any_open || { each_prepared move_units && remove_old_programs; }
	emit '{"setup": true}'
}

is_login() { case $1 in '' | [!A-Za-z_]* | *[!A-Za-z0-9._-]*) return 1 ;; esac && [ ${#1} -le 32 ]; }

# report_change TEXT: tell what is not yet so; fails in a dry run, where it stays so.
report_change() {
	quote "$1"
	emit "{\"change\": $json}"
	[ "$dry" = false ]
}

report_note() {
	quote "$1"
	emit "{\"note\": $json}"
}

setup_program() {
	[ "$(sha256sum 2>/dev/null <"$PROGRAM")" != "$sum  -" ] || [ "$(stat -c '%U %a' "$PROGRAM")" != "root 755" ] || return 0
	report_change "install $PROGRAM" || return 0
	folder=${PROGRAM%/*}
	mkdir -p "$folder" && chown root:root "$folder" && chmod 0755 "$folder" &&
		printf %s "$text" | put "$PROGRAM" && chown root:root "$PROGRAM" && chmod 0755 "$PROGRAM" ||
		fault write "cannot write $PROGRAM"
}

setup_place() {
	id -u "$wanted_user" >/dev/null 2>&1 || report_change "create the system user $wanted_user, without a shell" || :
	run_as
	[ "$user" = "$wanted_user" ] && [ -e "$BOT_USER" ] || report_change "let $BOT run as $wanted_user" || :
	[ -d "$RELEASES" ] || report_change "create $HOME_DIR with releases/ and shared/" || :
	[ -d "$PROVEN" ] || report_change "create $STATE" || :
	units_stand || report_change "write and enable $BOOT_UNIT and $GUARD.path" || :
	[ "$dry" = true ] || prepare "$wanted_user"
}

# move_units: those of an instance that an older program wrote. Their guards are at rest: nothing is open.
move_units() {
	[ ! -e "$UNITS/$GUARD.service" ] || units_stand || { watched=yes && prepare_units; }
}

# find_deployers: who may deploy the bot here, in $deployers: whom the rule names now and who still is a user of
# this host, and the one who is set up.
find_deployers() {
	deployers=''
	alias=BOTDEPLOY_$(printf %s "$BOT" | tr 'a-z-' 'A-Z_')
	for one in $(sed -n "s/^\([A-Za-z_][A-Za-z0-9._-]*\) ALL=(root) NOPASSWD: $alias\$/\1/p" "$SUDOERS" 2>/dev/null) "$deployer"; do
		is_login "$one" && id -u "$one" >/dev/null 2>&1 || continue
		[ "$one" != "$wanted_user" ] && [ "$(id -u "$one")" -ne 0 ] || continue
		case " $deployers " in *" $one "*) ;; *) deployers="$deployers${deployers:+ }$one" ;; esac
	done
	case " $deployers " in *" $deployer "*) ;; *) deployer=${deployers%% *} ;; esac
}

# The rule names this program by its digest: nothing that is put there later is covered by it. sudo-rs
# knows fewer settings than sudo; what it does not know it does not do either.
setup_rights() {
	settings='!requiretty, !use_pty, !log_output'
	case $(sudo -V 2>&1 </dev/null) in *sudo-rs*) settings='!use_pty' ;; esac
	rule="# Written by botdeploy setup. $(printf %s "$deployers" | sed 's/ /, /g') may deploy $BOT, and nothing else.
Cmnd_Alias $alias = $PROGRAM
Defaults!$alias $settings$(for one in $deployers; do printf '\n%s' "$one ALL=(root) NOPASSWD: $alias"; done)"
	if [ "$(cat "$SUDOERS" 2>/dev/null)" = "$rule" ]; then
		prove_rule
	elif report_change "allow $(printf %s "$deployers" | sed 's/ /, /g') to run $PROGRAM by sudo ($SUDOERS)"; then
		write_rule
		prove_rule
	fi
	case " $(id -Gn "$deployer") " in
	*' systemd-journal '* | *' adm '*) ;;
	*)
		if report_change "let $deployer read the journal (group systemd-journal)"; then
			usermod -aG systemd-journal "$deployer" || fault user "cannot add $deployer to the group systemd-journal"
		fi
		;;
	esac
}

# read_complaint [OPTION FILE]: what visudo says of a file, or of all that sudo reads: its first line, in
# $complaint. Nothing where all is well.
read_complaint() {
	complaint=''
	checked=$(visudo -c "$@" 2>&1 </dev/null) && return 0
	complaint=$(printf '%s\n' "$checked" | grep -v -e ': parsed OK$' -e '^$' | head -n 1)
	[ -n "$complaint" ] || complaint="visudo says no reason"
}

# A file that sudo can't read takes all of sudo away, for everybody: it is checked before it is put.
# What visudo says of other files it said before, too: that is not the rule's fault.
write_rule() {
	command -v visudo >/dev/null || fault no-tool "visudo is missing: sudo is not installed on this host"
	read_complaint
	before=$complaint
	printf '%s\n' "$rule" >"$NEW_RULE" && chmod 0440 "$NEW_RULE" || fault write "cannot write $NEW_RULE"
	read_complaint -f "$NEW_RULE"
	[ -z "$complaint" ] || fault sudoers "visudo refuses the rule: $complaint; nothing was changed"
	# A name with a dot is passed over by sudo, so nothing counts before the rename.
	cp "$NEW_RULE" "$SUDOERS.new.$$" && chmod 0440 "$SUDOERS.new.$$" && sync "$SUDOERS.new.$$" &&
		mv -T "$SUDOERS.new.$$" "$SUDOERS" && sync "${SUDOERS%/*}" || {
		rm -f "$SUDOERS.new.$$"
		fault write "cannot write $SUDOERS"
	}
	read_complaint
	if [ -n "$complaint" ] && [ "$complaint" != "$before" ]; then
		rm -f "$SUDOERS"
		fault sudoers "visudo refuses all rules together with the new one: $complaint; the new rule was removed again"
	fi
}

# prove_rule: the deployer runs the program as every act will. Where that does not work: why.
prove_rule() {
	said=$(runuser -u "$deployer" -- sudo -n -- "$PROGRAM" - version 2>&1 </dev/null)
	rc=$?
	read_complaint
	case $rc:$said in
	0:*'"version": true'*)
		[ -z "$complaint" ] || report_note "the rule works, but visudo says of another file: $complaint"
		return 0
		;;
	esac
	said="sudo says: $(printf '%s\n' "$said" | head -n 1)${complaint:+; visudo says: $complaint}"
	main=/etc/sudoers
	case $settings in *requiretty*) ;; *) [ ! -e /etc/sudoers-rs ] || main=/etc/sudoers-rs ;; esac
	# Of several rules that fit sudo takes the last.
	winner=$(sudo -n -l -U "$deployer" 2>/dev/null </dev/null |
		awk -v program="$PROGRAM" '{ sub(/^ */, "") } index($0, program) { seen = 1; last = ""; next } { last = $0 } END { print seen ? "listed " last : "" }')
	case $winner in
	'')
		grep -qE '^[[:blank:]]*[#@]includedir[[:blank:]]+"?/etc/sudoers\.d/?"?[[:blank:]]*$' "$main" ||
			fault sudoers "$main does not read /etc/sudoers.d, where the rule is now. Run visudo and add the line: @includedir /etc/sudoers.d"
		fault sudoers "sudo does not know the rule in $SUDOERS; $said"
		;;
	'listed ') fault sudoers "sudo knows the rule in $SUDOERS, but refuses the program to $deployer; $said" ;;
	esac
	find_later_rule
	fault sudoers "for $deployer a later rule wins over the one in $SUDOERS: ${winner#listed } ($place). $mend, then: botdeploy setup"
}

# find_later_rule: where the rule stands that sudo reads after ours, in $place, and what to do, in $mend.
find_later_rule() {
	place="in a file that sudo reads later" mend="Put the rule for this program behind it, or take it away"
	who=$(printf '%s\n' "$deployer" "#$(id -u "$deployer")" && for one in $(id -Gn "$deployer"); do printf '%%%s\n' "$one"; done)
	set +f
	for file in "${SUDOERS%/*}"/*; do
		case ${file##*/} in *.* | *~) continue ;; esac
		[ "$(printf '%s\n' "$file" "$SUDOERS" | sort | head -n 1)" = "$SUDOERS" ] && [ "$file" != "$SUDOERS" ] || continue
		names_deployer "$file" || continue
		place=$file mend="Let it be read first: mv $file ${SUDOERS%/*}/00-${file##*/}"
	done
	set -f
	awk 'seen; /^[ \t]*[#@]includedir[ \t]/ { seen = 1 }' "$main" >"$NEW_RULE"
	if names_deployer "$NEW_RULE"; then
		place=$main mend="Move its line in $main, by visudo, above the one with includedir"
	fi
}

# names_deployer FILE: does it name the deployer, one of its groups, or everybody as the user of a rule?
names_deployer() {
	sed 's/^[[:blank:]]*//; /^#[^0-9]/d' "$1" | grep -q '^ALL[[:blank:]]' && return 0
	sed '/^[[:blank:]]*#[^0-9]/d' "$1" | tr -s ' \t,=:' '[\n*]' | grep -qxF -e "$who"
}
