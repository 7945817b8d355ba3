# Makes the folder of an image, and tells how much of the image is there.
# Arguments: folder, sum of the image.
mkdir -p "$1"
if [ -e "$1/image" ] && [ "$(sha256sum <"$1/image" | cut -d ' ' -f 1)" = "$2" ]; then
    stat -c %s "$1/image"
else
    stat -c %s "$1/image.part" 2>/dev/null || echo 0
fi
