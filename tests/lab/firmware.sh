#!/bin/sh
# The firmware of one lab host: boots its systemd, and again whenever that asks for a reboot.
#
# usage: firmware.sh MACHINE HOSTNAME NETNS BASE FOLDER GROUP...
#
# Runs in a mount namespace of its own, so that the host's root needs no cleaning up: it goes when
# the last process of the host goes. Each GROUP is this host's cgroup in one mounted hierarchy, with
# three leaves: `firmware` for this shell, `machine` for what it boots, `visits` for what the lab
# runs inside by nsenter. (cgroup v2 wants processes in leaves only.)
set -eu
machine=$1 hostname=$2 netns=$3 base=$4 folder=$5
shift 5
for group; do echo $$ >"$group/firmware/cgroup.procs"; done

# nspawn keeps locks and folders there, and leaves them when it is killed; here they go with us.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 "$machine" /run/systemd/nspawn

# With a disk of its own a host can run out of space, and lose what was not synced.
top=$folder
if [ -e "$folder/disk.img" ]; then
    top=$folder/disk
    mkdir -p "$top"
    mount -o loop "$folder/disk.img" "$top"
    [ -e "$top/upper" ] || { cp -a "$folder/upper" "$top/upper.new" && mv "$top/upper.new" "$top/upper"; }
fi
rm -rf "$top/work"
mkdir "$top/work"
mount -t overlay -o "lowerdir=$base,upperdir=$top/upper,workdir=$top/work" "$machine" "$folder/root"

boot() {
    # A power cut leaves the groups of the last boot behind, empty.
    for group; do
        find "$group/machine" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || :
    done
    # shellcheck disable=SC2016  # expanded by the inner shell, whose pid is the one to move
    sh -c '
        folder=$1 machine=$2 hostname=$3 netns=$4
        shift 4
        for group; do echo $$ >"$group/machine/cgroup.procs"; done
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        exec systemd-nspawn --quiet --boot --register=no --keep-unit --settings=no \
            --directory="$folder/root" --machine="$machine" --hostname="$hostname" \
            --network-namespace-path="/run/netns/$netns" --capability=CAP_NET_ADMIN \
            --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
            systemd.firstboot=no
    ' boot "$folder" "$machine" "$hostname" "$netns" "$@"
}

while :; do
    status=0
    boot "$@" </dev/null >>"$folder/console.log" 2>&1 || status=$?
    # 133 is nspawn's word for "reboot"; everything else leaves the host switched off.
    [ "$status" -eq 133 ] || exit "$status"
done
