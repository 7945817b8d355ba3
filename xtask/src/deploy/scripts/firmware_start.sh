# Has systemd flash boards, which goes on without us. The daemon is stopped before: it holds them.
# Arguments: folder, name of this work, options of the program.
folder=$1 id=$2
shift 2
if [ -e "$folder/work" ] && [ "$(cat "$folder/work")" = "$id" ]; then exit 0; fi
if systemctl -q is-active twotone-firmware.service; then
    echo "boards are being flashed already" >&2
    exit 1
fi
if systemctl -q is-active twotone.service; then
    touch "$folder/daemon"
    systemctl stop twotone.service
fi
rm -f "$folder/result.json" "$folder/status"
: >"$folder/log"
echo "$id" >"$folder/work"
systemctl reset-failed twotone-firmware.service 2>/dev/null || true
# A stop waits until the flash that is being written is complete.
systemd-run --quiet --unit=twotone-firmware --collect --property=KillMode=mixed \
    --property=KillSignal=SIGINT --property=TimeoutStopSec=30min \
    /bin/sh -c '
        folder=$1
        shift
        status=0
        /opt/twotone/current/bin/twotone firmware flash /etc/twotone/map.toml \
            "$folder/image.toml" --done "$folder/done.json" --at-once --json "$@" \
            >"$folder/result.json" 2>"$folder/log" || status=$?
        echo "$status" >"$folder/status"
    ' flash "$folder" "$@"
