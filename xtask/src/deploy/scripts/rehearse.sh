# Checks that a version runs on the host and accepts the map, before the host is switched to it.
# Arguments: version, version that the program must print, map.
version=$1 says=$2 map=$3
program=/opt/twotone/versions/$version/bin/twotone
said=$(timeout 20 "$program" --version 2>&1) || {
    echo "$version does not run here: $said" >&2
    exit 1
}
case " $said " in
*" $says "*) ;;
*)
    echo "$version does not run here: it says \`$said\`" >&2
    exit 1
    ;;
esac
said=$(timeout 60 "$program" check "$map" 2>&1) || {
    echo "$version refuses the map: $said" >&2
    exit 1
}
