#!/bin/sh
# Puts a lab host back to what it was when it first came up, while it goes on running.
#
# Runs as root on the host. Undone are the faults that the lab made, and everything that a deploy
# wrote: units and what they run, releases, state, programs, users, groups, sudo rules. The journal
# starts anew. Repeatable.
set -u
pristine=/usr/lib/botdeploy-lab

# --- faults ---------------------------------------------------------------------------------------

pkill -CONT -x sshd
systemctl is-active -q systemd-journald ||
    systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald
key=/etc/ssh/ssh_host_ed25519_key
if [ -e "$key.lab" ]; then
    mv "$key.lab" "$key" && mv "$key.pub.lab" "$key.pub"
    systemctl restart ssh
fi
systemctl is-active -q ssh || systemctl start ssh

# --- what runs ------------------------------------------------------------------------------------

units=
listed=$(tr '\n' ' ' <"$pristine/names/:etc:systemd:system")
for file in /etc/systemd/system/*.* /run/systemd/transient/*.* /run/systemd/system/*.*; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    unit=${file##*/}
    case $unit in *.d | *.wants | *.requires | *.scope) continue ;; esac
    case "$file $listed " in /etc/*" $unit "*) continue ;; esac
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
    "$pristine/accounts/passwd" /etc/passwd | while read -r uid; do pkill -KILL -u "$uid"; done

# --- what stands ----------------------------------------------------------------------------------

# Made by the lab's faults, newest last.
if [ -e /run/lab-mounts ]; then
    tac /run/lab-mounts | while read -r folder; do umount -l "$folder"; done
    rm -f /run/lab-mounts
fi

for names in "$pristine"/names/*; do
    folder=$(basename "$names" | tr : /)
    listed=$(tr '\n' ' ' <"$names")
    for path in "$folder"/* "$folder"/.[!.]*; do
        [ -e "$path" ] || [ -L "$path" ] || continue
        case "$path $listed " in
        *" ${path##*/} "*) ;;
        # The host's own, laid over the base tree or written by its tools.
        "/etc/hostname "* | "/etc/hosts "* | "/etc/machine-id "* | /etc/*"- "* | "/etc/.pwd.lock "*) ;;
        *) rm -rf "$path" ;;
        esac
    done
done
rm -rf /run/botdeploy /run/lab-sudoers /run/systemd/system/*
find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name '.*-unix' \
    -exec rm -rf {} +
for file in "$pristine"/accounts/*; do cp -p "$file" /etc/; done
cp -p "$pristine/sudoers" /etc/sudoers.d/deploy

# --- what systemd and the journal remember --------------------------------------------------------

if [ -n "$units" ]; then
    systemctl daemon-reload
    systemctl reset-failed
fi
journalctl -q --rotate
journalctl -q --vacuum-files=1
