# places: where the things of this bot stand on this host. No other part spells these paths.
# Every act uses it. It writes nothing.

LIBRARY=/usr/local/lib/botdeploy # DIGEST/BOT: this program
SUDOERS=/etc/sudoers.d/botdeploy-$BOT
OPT=/opt
VAR_LIB=/var/lib

# systemd's own folder, and our units in it.
UNITS=/etc/systemd/system
WANTED=$UNITS/multi-user.target.wants

# What all instances of the bot on this machine have in common. A bot that is alone here, the plain form,
# has its own things in the same three folders.
BOT_HOME=$OPT/$BOT
BOT_STATE=$VAR_LIB/botdeploy/$BOT
BOT_USER=$BOT_STATE/user
ALL_RUN=/run/botdeploy
BOT_RUN=$ALL_RUN/$BOT
NEW_RULE=$BOT_RUN/sudoers
STORE=$BOT_RUN/store # the lock of TREES
TOGETHER=$BOT_STATE/together # RUN.PHASE: instances that change their numbers together (see group)
BARRIERS=$BOT_RUN/barriers
MACHINE=$ALL_RUN/machine # a name drawn at each boot: two addresses of one machine tell the same one

# Of named instances only: their folders, and the trees that their releases link to (see store).
INSTANCES=$BOT_HOME/instances
TREES=$BOT_HOME/trees
MAKING=$TREES/.making # a link for each tree that is being made, to where
TREE_TRASH=$TREES/.trash

# The bot's name as a part of a slice's, where a dash means one slice in another.
BOT_IN_SLICE='' rest=$BOT
while case $rest in *-*) true ;; *) false ;; esac do
	BOT_IN_SLICE=$BOT_IN_SLICE${rest%%-*}'\x2d' rest=${rest#*-}
done
BOT_IN_SLICE=$BOT_IN_SLICE$rest

# use_instance NAME: the places of one instance; without a name those of the plain form.
use_instance() {
	INSTANCE=$1
	if [ -n "$1" ]; then
		NAME=$BOT@$1 below=/instances/$1 own_slice=system-$BOT_IN_SLICE.slice/
	else
		NAME=$BOT below='' own_slice=''
	fi
	UNIT=$NAME.service
	GROUP=/system.slice/$own_slice$UNIT # where systemd puts its processes
	UNIT_LINK=$UNITS/$UNIT
	GUARD=botdeploy-guard-$NAME # .service and .path
	BOOT_UNIT=botdeploy-boot-$NAME.service

	# The bot. RELEASES/ID/.botdeploy/ holds what botdeploy knows of a release.
	HOME_DIR=$BOT_HOME$below
	RELEASES=$HOME_DIR/releases
	CURRENT=$HOME_DIR/current # a link to the release that the unit runs
	PREVIOUS=$HOME_DIR/previous
	SHARED=$HOME_DIR/shared
	PARTIALS=$HOME_DIR/.partial # what is being staged; same file system, so one rename completes it
	INCOMING=$RELEASES/.incoming.$$ # the same where releases/ is a volume of its own
	TRASH=$HOME_DIR/.trash
	UNIT_FILE=$CURRENT/.botdeploy/$UNIT

	# What outlives a reboot: the four marks of a change (see lease), then all else.
	STATE=$BOT_STATE$below
	PENDING=$STATE/pending
	CONFIRMED=$STATE/confirmed
	REVERTING=$STATE/reverting
	REVERTED=$STATE/reverted
	STUCK=$STATE/stuck           # why what was returned to does not run
	SWITCHES=$STATE/switches     # since when what ran
	SUCCESSOR=$STATE/successor   # who has taken this one's place (see succession)
	TOOK=$STATE/took             # whose place this one has taken, and how its data was
	ROLLOUT=$STATE/rollout       # which rollout this host takes part in
	PROVEN=$STATE/proven         # a file a release: it passed here
	RENDERED=$STATE/rendered     # ID=N: the highest N that was ever used of an ID
	QUARANTINE=$STATE/quarantine # a file a digest: it failed
	EVIDENCE=$STATE/evidence
	APPROVED=$STATE/approved
	HOLD=$STATE/hold
	AUDIT=$STATE/audit.jsonl

	# What is gone after a reboot.
	RUN_DIR=$BOT_RUN$below
	FENCE=$RUN_DIR/fence
	GUARD_LOCK=$RUN_DIR/guard.lock
	LOCK=$RUN_DIR/lock
	LEASE=$RUN_DIR/lease
	ANNOUNCED=$RUN_DIR/announced # the process that is about to write a mark
	SWITCHING=$RUN_DIR/switching # what a guard that begins again must know
	RESULT=$RUN_DIR/result       # of the last switch
	CLAIM=$RUN_DIR/claim         # who called the change back, and why
	RETURNED=$RUN_DIR/reverted   # of the last return
	STARTED=$RUN_DIR/started     # which release the unit's last start was of
	LOADED=$RUN_DIR/loaded       # the unit that systemd has read last
	SIGN_READ=$RUN_DIR/read      # how far the journal was searched for the sign
	RELOAD_DUE=$RUN_DIR/reload
}

use_instance "$INSTANCE"

# each_instance NAMES COMMAND …: the command once for each of these instances; "-" is the plain form.
each_instance() {
	each_names=$1
	shift
	for each_name in ${each_names:--}; do
		use_instance "${each_name#-}"
		"$@"
	done
}

# stands: was anything of this instance ever staged here?
stands() { [ ! -e "$SUCCESSOR" ] && { [ -L "$CURRENT" ] || [ -e "$ROLLOUT" ]; }; }

# each_prepared COMMAND …: the command once for each instance that has places here, and for the plain form; then
# the present one is in use again.
each_prepared() {
	present=$INSTANCE names=''
	set +f
	for folder in "$BOT_STATE" "$BOT_STATE/instances"/*; do
		[ -d "$folder/proven" ] || continue
		if [ "$folder" = "$BOT_STATE" ]; then names="$names -"; else names="$names ${folder##*/}"; fi
	done
	set -f
	for one_name in $names; do
		use_instance "${one_name#-}"
		"$@"
	done
	use_instance "$present"
}

# name_other PRESENT: the name of an instance, unless it is the present one, for people.
name_other() { [ "$INSTANCE" = "$1" ] || ! stands || printf '%s ' "${INSTANCE:-$BOT without a name}"; }

# is_any_open: is a change open here, of any instance?
is_any_open() {
	open=no
	set +f
	for folder in "$BOT_STATE" "$BOT_STATE/instances"/*; do
		[ ! -e "$folder/pending" ] && [ ! -e "$folder/reverting" ] || open=yes
	done
	set -f
	[ "$open" = yes ]
}
