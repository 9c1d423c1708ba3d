# main: hand the arguments to the act that was asked for.

case $ACT in
observe | enter | renew | leave | unlock | stage | switch | confirm | extend | revert | prove | \
	condemn | follow | lines | audit | manifest | guard) ;;
*) fault usage "unknown act" ;;
esac
[ "$(id -u)" -eq 0 ] || fault no-root "this program needs root"
prepare_run
shift 2
"act_$ACT" "$@"
finish 0
