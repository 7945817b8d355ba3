# Takes an image that has come whole, and writes its description.
# Arguments: folder, sum, kind, release, size, oldest release or `none`.
cd "$1"
if [ -e image.part ]; then
    if [ "$(sha256sum <image.part | cut -d ' ' -f 1)" != "$2" ]; then
        rm -f image.part
        echo "the image has come damaged" >&2
        exit 1
    fi
    mv -T image.part image
fi
{
    echo "kind = \"$3\""
    echo "release = \"$4\""
    echo "file = \"image\""
    echo "size = $5"
    echo "sha256 = \"$2\""
    [ "$6" = none ] || echo "oldest = \"$6\""
} >image.toml.part
mv -T image.toml.part image.toml
sync -f .
