# Makes the folder of an upload, and prints how many bytes of the archive are there already.
# Arguments: version, checksum of the archive.
part=/opt/twotone/versions/$1.part
mkdir -p "$part"
for other in "$part"/*; do
    [ "$other" = "$part/$2" ] || rm -rf "$other"
done
stat -c %s "$part/$2" 2>/dev/null || echo 0
