# Makes the folders of the versions, and takes the claim, which keeps other deployments off the
# host.
# Arguments: id, owner, seconds without a sign of life after which a claim is void, ids of claims
# whose deployers are known to have ended (or `none`), and the folder of the versions.
id=$1 owner=$2 silence=$3 ended=$4 folder=$5
root=/opt/twotone
if [ "$folder" != "$root" ] && [ ! -e "$root" ]; then
    mkdir -p "$folder" "${root%/*}"
    ln -sn "$folder" "$root"
fi
if [ "$(readlink -m "$root")" != "$(readlink -m "$folder")" ]; then
    echo "$root is there already, and is not $folder: move it by hand" >&2
    exit 1
fi
mkdir -p "$root/versions"
claim=$root/claim
take() {
    (set -C && echo "$id $owner" >"$claim") 2>/dev/null
}
is_void() {
    read -r other rest <"$claim" 2>/dev/null || return 1
    [ "$other" != "$id" ] || return 0
    case ,$ended, in *",$other,"*) return 0 ;; esac
    # An upload that goes on is a sign of life too.
    last=$(stat -c %Y "$claim" "$root"/versions/*.part/* 2>/dev/null | sort -n | tail -n 1)
    [ $(($(date +%s) - ${last:-0})) -gt "$silence" ]
}
take || {
    # Only one deployment at a time decides about a void claim, so that two do not both take it.
    exec 8>"$root/.claiming"
    flock -w 10 8
    if is_void; then rm -f "$claim"; fi
    take
} || {
    echo "another deployment is under way: $(cut -d ' ' -f 2- "$claim")" >&2
    exit 1
}
