# Unpacks an archive that has arrived completely, and makes it a version.
# Arguments: version, checksum of the archive.
version=$1 sum=$2
versions=/opt/twotone/versions
part=$versions/$version.part
if [ "$(sha256sum <"$part/$sum" | cut -d ' ' -f 1)" != "$sum" ]; then
    rm -f "$part/$sum"
    echo "the archive has come damaged" >&2
    exit 1
fi
rm -rf "$part/tree"
mkdir "$part/tree"
tar --extract --gzip --strip-components=1 --no-same-owner --directory "$part/tree" \
    --file "$part/$sum"
(cd "$part/tree" && sha256sum --check --strict --quiet SHA256SUMS)
sync -f "$part/tree"
# A version whose files were changed is replaced.
[ ! -e "$versions/$version" ] || mv -T "$versions/$version" "$part/damaged"
mv -T "$part/tree" "$versions/$version"
sync -f "$versions"
rm -rf "$part"
