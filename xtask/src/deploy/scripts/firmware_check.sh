# Tells as JSON which boards can be flashed, and which are done.
# Arguments: folder, options of the check.
folder=$1
shift
program=/opt/twotone/current/bin/twotone
echo "work $(systemctl is-active twotone-firmware.service || true)"
echo "service $(systemctl is-active twotone.service || true)"
echo "health $(timeout 10 "$program" --json health 2>/dev/null | tr '\n\t' '  ' || true)"
printf 'check '
"$program" firmware check "$folder/image.toml" /etc/twotone/map.toml --done "$folder/done.json" \
    --json "$@" 2>"$folder/check.err" || true
echo
echo "said $(tr '\n\t' '  ' <"$folder/check.err")"
