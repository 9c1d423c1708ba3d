#!/bin/sh
# What the floor does on a host: floor_host.sh roll|back NAME RELEASE
set -eu
name=$2 release=$3
cd "/opt/$name"
was=$(readlink current || true)
if [ "$1" = back ]; then
	to=$(readlink previous)
else
	to=releases/$release
	printf 'LOG_LEVEL=info\nRELEASE=%s\n' "$release" >"$to/.env"
fi
cursor=$(sudo journalctl -q -u "$name" -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
ln -s "$to" .current.new && mv -T .current.new current
[ -z "$was" ] || ln -sfn "$was" previous
sudo systemctl restart "$name"
tries=0
until sudo journalctl -q -u "$name" ${cursor:+--after-cursor="$cursor"} -o cat | grep -q ^READY; do
	tries=$((tries + 1))
	[ "$tries" -lt 500 ]
	sleep 0.02
done
pid=$(systemctl show -p MainPID --value "$name")
[ "$(sudo readlink "/proc/$pid/cwd")" = "/opt/$name/$to" ]
printf '%s\n' releases/* | sort | head -n -5 | xargs -r rm -rf
