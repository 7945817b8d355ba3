# Removes versions, but never the current or the previous one.
# Arguments: versions.
root=/opt/twotone
for version in "$@"; do
    for mark in current previous; do
        [ "$(readlink "$root/$mark" 2>/dev/null)" != "versions/$version" ] || {
            echo "$version has become $mark meanwhile" >&2
            exit 1
        }
    done
    # The version is renamed first, so that a half-removed one does not count as a version.
    case $version in
    *.part) rm -rf "$root/versions/$version" ;;
    *)
        rm -rf "$root/versions/$version.part"
        mv -T "$root/versions/$version" "$root/versions/$version.part"
        rm -rf "$root/versions/$version.part"
        ;;
    esac
done
