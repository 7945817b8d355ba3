# Makes the folder of an upload, and tells how much of the archive is there.
# Arguments: version, sum of the archive.
part=/opt/twotone/versions/$1.part
mkdir -p "$part"
for other in "$part"/*; do
    [ "$other" = "$part/$2" ] || rm -rf "$other"
done
stat -c %s "$part/$2" 2>/dev/null || echo 0
