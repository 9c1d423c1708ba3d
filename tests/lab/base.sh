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

# Nor what makes units of disks, consoles and kernel options that a lab host has not. systemd runs
# all of these at each boot and daemon-reload: half of what either costs.
mkdir -p "$tree/etc/systemd/system-generators"
for generator in cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run \
    system-update veritysetup; do
    ln -sfn /dev/null "$tree/etc/systemd/system-generators/systemd-$generator-generator"
done

# What `reset.sh` needs to put a host back, beside a copy of /etc: the names of what stands in the
# other folders where a deploy, or what it deploys, may leave things.
# Written at a host's first boot.
: >"$tree/etc/.updated"
: >"$tree/var/.updated"
pristine="$tree/usr/lib/botdeploy-lab"
mkdir -p "$pristine"
echo /opt /srv /home /root /home/deploy /home/plain /usr/local/bin /usr/local/lib /usr/local/sbin \
    /usr/local/share /var /var/lib /var/cache /var/spool/cron/crontabs >"$pristine/folders"
# shellcheck disable=SC2016  # expanded inside, where the folders are
inside sh -c 'mkdir -p $(cat "$1/folders") && find $(cat "$1/folders") -mindepth 1 -maxdepth 1 |
    sort >"$1/names"' names /usr/lib/botdeploy-lab

# mmdebstrap copies these from the machine that builds.
rm -f "$tree/etc/hostname" "$tree/etc/resolv.conf"
: >"$tree/etc/machine-id"
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin
