#!/bin/sh
# Turns a fresh Debian tree into the tree that every lab host starts from.
#
# usage: base.sh TREE        (a customize hook of mmdebstrap, which passes the tree as $1)
#
# What differs between hosts (name, machine id, keys) is laid over this tree when a host starts.
set -eu
tree=$1
inside() { chroot "$tree" "$@"; }

# The users: `deploy` as an administrator would have it, `plain` who may do nothing.
# A password of `*` never matches, but unlike `!` does not lock the account for keys.
for user in deploy plain; do
    inside useradd --create-home --shell /bin/bash "$user"
    inside usermod --password '*' "$user"
done
printf 'deploy ALL=(ALL:ALL) NOPASSWD: ALL\n' >"$tree/etc/sudoers.d/deploy"
chmod 0440 "$tree/etc/sudoers.d/deploy"
inside visudo -cq

# One host key a host, made by the lab; one list of keys for all users, so that homes stay empty.
rm -f "$tree"/etc/ssh/ssh_host_*
cat >"$tree/etc/ssh/sshd_config.d/lab.conf" <<'CONF'
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/lab_authorized_keys .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
CONF

# The journal outlives a reboot, as on a real server.
mkdir -p "$tree/var/log/journal"

# Nothing that wakes up, waits for hardware or reaches for the network.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty@tty1.service console-getty.service \
    systemd-pstore.service systemd-networkd-wait-online.service systemd-firstboot.service \
    modprobe@.service; do
    ln -sfn /dev/null "$tree/etc/systemd/system/$unit"
done

# `reset` puts these back: a deploy adds users, groups, sudo rules and units.
pristine="$tree/usr/lib/botdeploy-lab/pristine"
mkdir -p "$pristine"
for file in passwd shadow group gshadow subuid subgid sudoers.d systemd/system; do
    [ -e "$tree/etc/$file" ] || continue
    mkdir -p "$pristine/$(dirname "$file")"
    cp -a "$tree/etc/$file" "$pristine/$file"
done

# mmdebstrap copies these from the machine that builds.
rm -f "$tree/etc/hostname" "$tree/etc/resolv.conf"
: >"$tree/etc/machine-id"
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin
