# probe: ask the running bot for numbers that its journal does not tell. It writes nothing.
#
#   probe command|http|prometheus LIMIT_S     what to ask on standard input: a shell command or a URL
#
# Prints {"probe": {"body": base64 of at most 256 kB and a byte, "said": base64 of the last words on
# standard error, "code", "status", "took_s", "at_us", "invocation", "up_s"}}.
#
# Nothing here runs as root: not the command, and not the client that asks a URL either. A deployer
# gains nothing by it, for the releases that he brings run as the same user. A URL leads to this
# host's loopback only: the numbers are this bot's, and no host becomes a way into its network.

PROBE_BYTES=262144

act_probe() {
	kind=${1:-} limit=${2:-}
	need_number limit "$limit"
	[ "$limit" -ge 1 ] && [ "$limit" -le 60 ] || fault usage "the limit is 1 to 60 seconds"
	wanted=$(head -c 65536)
	[ -n "$wanted" ] || fault usage "there is nothing to ask"
	run_as
	id -u "$user" >/dev/null 2>&1 || fault no-user "there is no user $user on this host"
	[ "$(id -u "$user")" -ne 0 ] || fault usage "a probe must not run as root"
	[ -d "$CURRENT/" ] || fault not-staged "no release is current on this host"
	client=''
	case $kind in
	command) ;;
	http | prometheus)
		is_own_url "$wanted" || fault usage "the URL must be one of this host's: http://127.0.0.1, http://localhost or http://[::1], with port and path"
		client=$(command -v curl || command -v wget) || fault no-client "neither curl nor wget is on this host"
		;;
	*) fault usage "a probe is command, http or prometheus" ;;
	esac
	# Before the question: what a run that ended meanwhile has said must not count as the next one's.
	unit_state
	read_uptime
	up_cs=0
	[ "$ActiveState" != active ] || up_cs=$((now_cs - ActiveEnterTimestampMonotonic / 10000))
	[ "$up_cs" -ge 0 ] || up_cs=0
	begun=$now_cs
	printf '@@%s {"probe": {"body": "' "$NONCE"
	exec 3>&1
	# The answer goes out at once; the shell keeps the last words, and the exit code after them.
	# head and tail have limits of their own: what the command left behind may hold its output.
	told=$(
		{
			{
				ask_bot
				printf '\n%s' "$code" >&2
			} | timeout "$((limit + 2))" head -c "$((PROBE_BYTES + 1))" | base64 -w 0 >&3
		} 2>&1 | timeout "$((limit + 3))" tail -c 2000
	)
	exec 3>&-
	read_uptime
	code=${told##*"$NL"}
	is_number "$code" || code=-1
	status=0 took=$(seconds $((now_cs - begun)))
	case ${client##*/} in
	curl) read_curl ;;
	wget) read_wget ;;
	esac
	read_clock
	printf '", "said": "%s", "code": %s, "status": %s, "took_s": %s, "at_us": %s, "invocation": "%s", "up_s": %s}}\n' \
		"$(printf %s "${told%"$NL"*}" | base64 -w 0)" "$code" "$status" "$took" "$wall_us" \
		"$InvocationID" "$(seconds "$up_cs")"
}

# is_own_url URL: only this host, and only characters that need no quoting in anybody's grammar.
is_own_url() {
	is_line "$1" || return 1 # a bound on the length in the pattern takes grep a tenth of a second
	printf '%s\n' "$1" |
		grep -qxE 'https?://(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?@!$&()*+,;=%-]*)?'
}

# ask_bot: ask, and set code. What the command has left behind in its process group is ended: timeout
# makes one, and while somebody is in it the kernel gives its number to nobody else.
ask_bot() {
	case ${client##*/} in
	'') set -- /bin/sh -c "$wanted" ;;
	curl)
		# No redirects: they lead elsewhere. The certificate's name can't be "localhost"'s.
		set -- "$client" -q -g -s -k --proto '=http,https' --noproxy '*' -m "$limit" -A botdeploy \
			-w '%{stderr}%{http_code} %{time_total}' -- "$wanted"
		;;
	wget)
		set -- "$client" -nv -S -O - -T "$limit" -t 1 --no-proxy --max-redirect=0 \
			--no-check-certificate --content-on-error -U botdeploy -- "$wanted"
		;;
	esac
	home=$CURRENT
	[ -z "$INSTANCE" ] || home=$SHARED
	(
		go_there timeout -k 1 "$limit" setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --init-groups \
			--no-new-privs env -i PATH="$PATH" LANG=C.UTF-8 HOME="$home" USER="$user" "$@"
	) 3>&- </dev/null &
	asked=$!
	wait "$asked"
	code=$?
	kill -s KILL -- "-$asked" 2>/dev/null
	if [ "$code" = 125 ]; then # uutils says so, with -k, of what it has ended in time
		read_uptime
		[ $((now_cs - begun)) -lt $((limit * 100)) ] || code=124
	fi
}

# curl's last words are the status and the seconds; 000 is no answer.
read_curl() {
	row=${told%"$NL"*}
	row=${row##*"$NL"}
	case $row in
	[0-9][0-9][0-9]\ [0-9]*.[0-9]*[!0-9.]*) ;;
	[0-9][0-9][0-9]\ [0-9]*.[0-9]*)
		status=${row%% *} took=${row#* }
		status=${status#0} status=${status#0}
		;;
	esac
}

# wget prints the answer's head, and ends with 8 when the status says that something is wrong.
read_wget() {
	status=$(printf '%s\n' "$told" | sed -n 's|^ *HTTP/[0-9.]* \([1-9][0-9][0-9]\).*|\1|p' | tail -n 1)
	[ -n "$status" ] || status=0
	[ "$code" != 8 ] || code=0
}
