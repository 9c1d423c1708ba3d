#!/bin/sh
# Installs what the lab needs on Debian or Ubuntu, where it is missing. Needs root, asks nothing.
#
# usage: install.sh [PACKAGE...]      (these too, for tests outside of the lab)
#
# Quick when all is there; the package lists are fetched only when a package can't be had without.
set -eu

packages="systemd-container mmdebstrap debian-archive-keyring iproute2 util-linux mount e2fsprogs openssh-client $*"

missing=
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: as root, please; missing:$missing" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
install_missing() {
    # shellcheck disable=SC2086  # names of packages, one a word
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
}
echo "installing:$missing" >&2
install_missing 2>/dev/null && exit 0
apt-get update -qq
install_missing
