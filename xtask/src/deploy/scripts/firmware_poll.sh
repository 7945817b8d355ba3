# Tells how far the work is, and its log from a line on.
# Arguments: folder, number of the first line.
folder=$1
if [ -e "$folder/status" ]; then
    echo "status $(cat "$folder/status")"
    printf 'result '
    cat "$folder/result.json"
    echo
else
    # A unit that is being stopped finishes the flash that it writes.
    case $(systemctl is-active twotone-firmware.service || true) in
    active | activating | deactivating) echo "status running" ;;
    *)
        # The status may have been written in between.
        sleep 1
        if [ -e "$folder/status" ]; then echo "status running"; else echo "status cut"; fi
        ;;
    esac
fi
tail -n "+$2" "$folder/log" | sed 's/^/log /'
