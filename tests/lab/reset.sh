#!/bin/sh
# Puts a lab host back to what it was when it first came up, while it goes on running.
#
# Runs as root on the host. Undone are the faults that the lab made, and everything that a deploy
# or a test wrote: units and what they run, releases, state, programs, users, groups, sudo rules,
# and every setting of systemd, journald, sshd and the rest of /etc. The journal starts anew, and
# with it what journald has in memory. What was put back is tried; what is not as it was is told on
# stderr, and the exit status is 1. Repeatable.
set -u
pristine=/usr/lib/botdeploy-lab

# --- what runs ------------------------------------------------------------------------------------

pkill -CONT -x sshd
units=
for file in /etc/systemd/system/*.* /run/systemd/transient/*.* /run/systemd/system/*.*; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    unit=${file##*/}
    case $unit in *.d | *.wants | *.requires | *.scope) continue ;; esac
    case $file in /etc/*) if [ -e "$pristine$file" ] || [ -L "$pristine$file" ]; then continue; fi ;; esac
    case $unit in *@.*) unit="${unit%@.*}@*.${unit##*.}" ;; esac
    units="$units $unit"
done
if [ -n "$units" ]; then
    # All at once, so that no guard sees its bot die; without asking nicely, so that no bot can
    # refuse; and told to stop before it is killed, so that nothing is started again.
    # shellcheck disable=SC2086  # names of units, one a word
    {
        systemctl stop --no-block $units
        systemctl kill --signal=KILL $units
        systemctl stop --no-block $units
        systemctl kill --signal=KILL $units
        systemctl stop $units
    } 2>/dev/null
fi
pkill -KILL -u deploy,plain
# Users that the base tree did not have.
awk -F: 'NR == FNR { known[$1]; next } !($1 in known) { print $3 }' \
    "$pristine/etc/passwd" /etc/passwd | while read -r uid; do pkill -KILL -u "$uid"; done

# --- what stands ----------------------------------------------------------------------------------

# What is mounted beside what a host boots with, newest first; also a second one over /tmp.
mounted() {
    awk '$2 ~ "^(/proc|/sys|/dev|/run/(host|lock|user|credentials))(/|$)" { next }
        $2 ~ "^/(tmp|run)?$" && !seen[$2]++ { next }
        { print $2 }' /proc/self/mounts | tac
}
mounted | while read -r folder; do umount -l "$(printf %b "$folder")"; done

# shellcheck disable=SC2046  # folders, one a word
{
    mkdir -p $(cat "$pristine/folders")
    find $(cat "$pristine/folders") -mindepth 1 -maxdepth 1 | sort |
        comm -13 "$pristine/names" - | xargs -r -d '\n' rm -rf --
}
rm -rf /run/botdeploy /run/lab-* /run/nologin /run/systemd/system/* /run/systemd/*.d \
    /run/systemd/system.control /run/systemd/system.attached
find /tmp /var/tmp /dev/shm -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name '.*-unix' \
    -exec rm -rf {} +

# The paths below /etc, parents first, that are not what they were: kind, rights, owner, text.
changed() {
    for top in "$pristine/etc" /etc; do
        find "$top" -mindepth 1 \( -type d -printf '%P\t%y %m %U %G\n' \
            -o -printf '%P\t%y %m %U %G %s %T@ %l\n' \)
    done | sort | uniq -u | cut -f1 | uniq
}
restarts=
while read -r path; do
    [ -n "$path" ] || continue
    case $path in
    systemd/system/*.d/*) unit=${path%/*} && unit=${unit##*/} && restarts="$restarts ${unit%.d}" ;;
    esac
    was=$pristine/etc/$path now=/etc/$path
    if [ -d "$was" ] && ! [ -L "$was" ]; then
        if [ -L "$now" ] || ! [ -d "$now" ]; then rm -f "$now" && mkdir "$now"; fi
        chown --reference="$was" "$now" && chmod --reference="$was" "$now"
    else
        rm -rf "$now"
        [ -e "$was" ] || [ -L "$was" ] || continue
        cp -a "$was" "$now"
    fi
done <<END
$(changed)
END
hostname "$(cat /etc/hostname)"
# What the users' shells read, as their homes came with it.
for home in /home/deploy /home/plain; do
    cp -a "$pristine/etc/skel/." "$home"
    find "$pristine/etc/skel" -mindepth 1 -printf "$home/%P\0" | xargs -0 chown --reference="$home"
done
cp -a /usr/share/base-files/dot.bashrc /root/.bashrc
cp -a /usr/share/base-files/dot.profile /root/.profile

# --- what systemd, journald and sshd remember -----------------------------------------------------

[ -d /var/log/journal ] || systemd-tmpfiles --create --prefix=/var/log/journal
rm -rf /var/log/journal/* /run/log/journal/*
systemctl daemon-reload
# Also the counts of starts, of which journald has five in ten seconds.
systemctl reset-failed
# Settings are read at the start only, and what journald drops is counted in its memory.
systemctl restart systemd-journald
# Whatever was stopped. What is masked in the base tree can't be started, and needn't.
# shellcheck disable=SC2046  # names of units, one a word
systemctl start $(systemctl show -P Wants -P Requires sysinit.target sockets.target \
    timers.target multi-user.target) 2>/dev/null
# The sessions of root; those of others are dead.
systemctl kill --signal=KILL ssh
# shellcheck disable=SC2086  # names of units, one a word
{
    systemctl reset-failed ssh
    systemctl restart ssh
    [ -z "$restarts" ] || systemctl try-restart $restarts 2>/dev/null
}

# --- whether it is so -----------------------------------------------------------------------------

status=0
wrong() {
    echo "$*" >&2
    status=1
}
left=$(changed); [ -z "$left" ] || wrong "not as it was below /etc: $left"
left=$(mounted); [ -z "$left" ] || wrong "still mounted: $left"
for folder in /etc /home/deploy /opt /run /tmp /var/lib; do
    { echo >"$folder/.lab-reset" && rm "$folder/.lab-reset"; } || wrong "$folder takes no file"
done
state=$(systemctl is-system-running) ||
    wrong "systemd is $state: $(systemctl --failed --plain --no-legend) $(systemctl list-jobs)"
runuser -u deploy -- sudo -n true || wrong "deploy may not use sudo"
# One as a service writes it and one as a program does, both of the level that is cut off first.
line=lab-reset-$$-$(date +%s%N)
echo "$line" | systemd-cat -t lab-reset -p debug && logger -t lab-reset -p user.debug "$line"
journalctl --sync
[ "$(journalctl -q -o cat -t lab-reset | grep -c "^$line\$")" = 2 ] ||
    wrong "journald does not keep what is written: $(systemctl is-active systemd-journald)"
exit "$status"
