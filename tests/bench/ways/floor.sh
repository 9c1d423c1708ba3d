#!/bin/bash
# The floor: what one would type by hand. Called as
#   floor.sh roll|back NAME RELEASE SOURCE SSH_CONFIG serial|parallel HOST ...
# One rsync and one compound command a host, over one connection that ssh's master keeps.
set -eu
act=$1 name=$2 release=$3 source=$4 config=$5 mode=$6
shift 6
here=$(dirname "$0")

one() {
	if [ "$act" = roll ]; then
		rsync -az --link-dest="/opt/$name/current/" -e "ssh -F $config" \
			"$source/" "$1:/opt/$name/releases/$release/"
	fi
	ssh -F "$config" "$1" "sh -s $act $name $release" <"$here/floor_host.sh"
}

running=()
for host; do
	if [ "$mode" = serial ]; then
		one "$host"
	else
		one "$host" &
		running+=($!)
	fi
done
for pid in "${running[@]}"; do wait "$pid"; done
