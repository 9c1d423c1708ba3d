#!/bin/sh
# Stands before every program that an act calls, in /usr/local/sbin, which comes first in its PATH.
# Tells which step that is, or stops there until the test has broken something.
#
# A step's name is the command with its arguments (numbers that change left out) and the last
# command that changed something before it. So the steps are what the act really does: nobody has
# chosen them, and a new line in an act is a new step.
chaos=/run/chaos
tool=${0##*/}
for real in "/usr/bin/$tool" "/usr/sbin/$tool" "/bin/$tool"; do [ -x "$real" ] && break; done
[ -e "$chaos/plan" ] || exec "$real" "$@"
scope=act
while IFS= read -r line; do
	case $line in *botdeploy-guard-*) scope=guard unit=${line##*/} ;; esac
done </proc/self/cgroup
{
	IFS= read -r wanted_scope
	IFS= read -r wanted_parent
	IFS= read -r wanted
} <"$chaos/plan" || exec "$real" "$@"
# "act", "guard", or the unit of one guard among several.
[ "$scope" = "$wanted_scope" ] || [ "${unit:-}" = "$wanted_scope" ] || exec "$real" "$@"
# Most calls are neither that step nor change anything: they cost nothing more.
case $wanted in
- | "$tool "*) ;;
*)
	case $tool in
	mv | ln | rm | sync | mkdir | mkfifo | chown | chmod | useradd | tar | cp | xargs | systemd-run | systemctl) ;;
	*) exec "$real" "$@" ;;
	esac
	;;
esac
if [ "$wanted_parent" != - ]; then
	# Only what this very act calls, not the test's own looks at the host.
	parent=$PPID found=no
	while [ "$parent" -gt 1 ]; do
		case $(/usr/bin/tr '\000' ' ' <"/proc/$parent/cmdline") in *"$wanted_parent"*) found=yes && break ;; esac
		read -r _ _ _ parent _ <"/proc/$parent/stat" || break
	done
	[ "$found" = yes ] || exec "$real" "$@"
fi
name=$(printf '%s' "$tool $*" | /usr/bin/tr '\n' ' ' | /usr/bin/sed -E 's/s=[0-9a-f]+;i=[^ ]*/CURSOR/g; s/\.new\.[0-9]+/.new.N/g; s|/proc/[0-9]+/|/proc/PID/|g; s/[0-9]{5,}/N/g; s/T[0-9a-f]{12}/TOKEN/g; s/[0-9a-f]{32,}/HASH/g; s/run-?[0-9]+[a-z]*/RUN/g')
last=$(/usr/bin/cat "$chaos/last" 2>/dev/null)
step="$name after ${last:-the beginning}"
case $tool in
mv | ln | rm | sync | mkdir | mkfifo | chown | chmod | useradd | tar | cp | xargs | systemd-run)
	printf '%s' "$name" >"$chaos/last"
	;;
systemctl)
	case $1 in show | is-active | is-system-running | --version) ;; *) printf '%s' "$name" >"$chaos/last" ;; esac
	;;
esac
if [ "$wanted" = - ]; then
	printf '%s\n' "$step" >>"$chaos/steps"
elif [ "$wanted" = "$step" ] && /usr/bin/mv "$chaos/plan" "$chaos/hit.$$" 2>/dev/null; then
	printf '%s\n' "$$" >"$chaos/hit"
	n=0
	while [ ! -e "$chaos/go" ] && [ "$n" -lt 600 ]; do
		/usr/bin/sleep 0.05
		n=$((n + 1))
	done
fi
exec "$real" "$@"
