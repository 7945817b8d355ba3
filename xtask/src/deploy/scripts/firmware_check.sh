# Tells as JSON which boards can be flashed, and which are done.
# Arguments: folder, options of the check.
folder=$1
shift
echo "work $(systemctl is-active twotone-firmware.service || true)"
echo "service $(systemctl is-active twotone.service || true)"
printf 'done '
tr -d '\n' <"$folder/done.json" 2>/dev/null || true
echo
printf 'check '
/opt/twotone/current/bin/twotone firmware check "$folder/image.toml" /etc/twotone/map.toml \
    --json "$@" || true
