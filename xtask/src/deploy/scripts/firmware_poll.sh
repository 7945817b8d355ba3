# Tells how far the work is, and its log from a line on.
# Arguments: folder, number of the first line.
folder=$1
if [ -e "$folder/status" ]; then
    echo "status $(cat "$folder/status")"
    printf 'result '
    cat "$folder/result.json"
    echo
elif systemctl -q is-active twotone-firmware.service; then
    echo "status running"
else
    # The status may have been written in between.
    sleep 1
    if [ -e "$folder/status" ]; then echo "status running"; else echo "status cut"; fi
fi
tail -n "+$2" "$folder/log" | sed 's/^/log /'
