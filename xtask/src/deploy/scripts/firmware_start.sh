# Has systemd flash boards, which goes on without us. The daemon is stopped before: it holds them.
# Tells `refused work` or `refused jobs` if boards are being flashed already, or if the daemon works.
# Arguments: folder, name of this work, `now` to interrupt jobs of the daemon or else `idle`,
# options of the program.
folder=$1 id=$2 jobs=$3
shift 3
state=$(systemctl is-active twotone-firmware.service || true)
if [ -e "$folder/work" ] && [ "$(cat "$folder/work")" = "$id" ] &&
    { [ -e "$folder/status" ] || [ "$state" = active ]; }; then
    exit 0
fi
case $state in
active | activating | deactivating)
    echo "refused work"
    exit 0
    ;;
esac
if systemctl -q is-active twotone.service; then
    if [ "$jobs" = idle ]; then
        health=$(timeout 10 /opt/twotone/current/bin/twotone --json health 2>/dev/null || true)
        health=$(printf %s "$health" | tr -d ' \n\t')
        for count in running queued; do
            case $health in
            *"\"$count\":0"*) ;;
            *"\"$count\":"*)
                echo "refused jobs"
                exit 0
                ;;
            esac
        done
    fi
    # In the folder of all images, so that a call with another image finds it.
    touch "${folder%/*}/daemon"
    systemctl stop twotone.service
fi
rm -f "$folder/result.json" "$folder/status"
: >"$folder/log"
echo "$id" >"$folder/work"
systemctl reset-failed twotone-firmware.service 2>/dev/null || true
# A stop sends SIGINT to the program, which finishes the flash that it writes. The shell waits.
systemd-run --quiet --unit=twotone-firmware --collect --property=KillSignal=SIGINT \
    --property=TimeoutStopSec=30min --property=After=network.target \
    /bin/sh -c '
        trap : INT
        folder=$1
        shift
        status=0
        /opt/twotone/current/bin/twotone firmware flash /etc/twotone/map.toml \
            "$folder/image.toml" --done "$folder/done.json" --at-once --json "$@" \
            >"$folder/result.json" 2>"$folder/log" || status=$?
        echo "$status" >"$folder/status"
    ' flash "$folder" "$@"
