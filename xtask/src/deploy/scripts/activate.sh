# Lets systemd start the activation, which then goes on even if this connection is cut.
# Arguments: id, version, version that the check has found, `now` or `idle`, seconds within which
# the daemon must be healthy, seconds for which it must stay so, owner, seconds for the whole
# activation.
root=/opt/twotone
id=$1 version=$2 limit=$8
was_started() {
    [ -e "$root/started" ] && [ "$(cat "$root/started")" = "$id" ]
}
if was_started; then exit 0; fi
# An earlier activation that failed may still be loaded as a unit.
systemctl reset-failed twotone-activate.service 2>/dev/null || true
said=$(systemd-run --quiet --unit=twotone-activate --collect --property=RuntimeMaxSec="$limit" \
    --property=OnFailure=twotone-rollback.service \
    /bin/sh "$root/versions/$version/libexec/activate" switch "$1" "$2" "$3" "$4" "$5" "$6" "$7" \
    2>&1) || {
    # The unit may be of this attempt, started before the connection was cut.
    sleep 1
    was_started || {
        echo "another activation is under way, or none can be started: $said" >&2
        exit 1
    }
}
