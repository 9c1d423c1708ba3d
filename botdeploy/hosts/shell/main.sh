# main: hand the arguments to the act that was asked for.

READS="observe check follow lines entries audit contents manifest about evidence probe version"
ACTS="$READS enter renew leave unlock stage fetch begin end switch confirm extend revert prove condemn keep gate note guard retire setup"

act_version() { emit '{"version": true}'; }

case " $ACTS " in *" $ACT "*) ;; *) fault usage "unknown act" ;; esac
case $ACT in '' | *' '*) fault usage "unknown act" ;; esac
case $ACT in
check | follow | lines | entries | version) ;; # of use without root as well
*) [ "$(id -u)" -eq 0 ] || fault no-root "this needs root" ;;
esac
case " $READS setup " in *" $ACT "*) ;; *) prepare_run ;; esac
shift 2
"act_$ACT" "$@"
finish 0
