# Prints the versions on the host, each with its size in KiB, and the last activations.
root=/opt/twotone
for mark in current previous; do
    target=$(readlink "$root/$mark" 2>/dev/null) || continue
    echo "$mark ${target#versions/}"
done
for folder in "$root"/versions/*; do
    [ -d "$folder" ] || continue
    echo "version ${folder##*/} $(du -sk "$folder" | cut -f 1)"
done
if [ -r "$root/log" ]; then tail -n 20 "$root/log" | sed 's/^/log /'; fi
