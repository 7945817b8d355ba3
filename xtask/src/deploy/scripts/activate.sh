# Has systemd start the activation, which goes on without us.
# Arguments: id, version, version found, `now` or `idle`, seconds for health, seconds to stay so,
# owner, seconds for all of it.
root=/opt/twotone
id=$1 version=$2 limit=$8
was_started() {
    [ -e "$root/started" ] && [ "$(cat "$root/started")" = "$id" ]
}
if was_started; then exit 0; fi
# A unit that has failed and was not collected.
systemctl reset-failed twotone-activate.service 2>/dev/null || true
said=$(systemd-run --quiet --unit=twotone-activate --collect --property=RuntimeMaxSec="$limit" \
    --property=OnFailure=twotone-rollback.service \
    /bin/sh "$root/versions/$version/libexec/activate" switch "$1" "$2" "$3" "$4" "$5" "$6" "$7" \
    2>&1) || {
    # It may be ours, of before a cut of the connection.
    sleep 1
    was_started || {
        echo "another activation is under way, or none can be started: $said" >&2
        exit 1
    }
}
