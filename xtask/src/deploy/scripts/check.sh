# Prints facts about the host. Changes nothing.
# Arguments: the version to look for, the checksum of its archive, and names of kernel settings.
root=/opt/twotone
version=$1 sum=$2
shift 2
tell() {
    printf '%s %s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')"
}
named() {
    target=$(readlink "$root/$1" 2>/dev/null) || target=versions/none
    echo "${target#versions/}"
}
sum_of() {
    sha256sum <"$1" 2>/dev/null | cut -d ' ' -f 1
}
tell user "$(id -u)"
tell machine "$(uname -m)"
tell glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)"
tell time "$(date +%s.%N)"
tell synchronized "$(timedatectl show -p NTPSynchronized --value 2>/dev/null || true)"
tell systemd "$(systemctl --version 2>/dev/null | awk 'NR == 1 { print $2 }')"
tell system "$(systemctl is-system-running 2>/dev/null || true)"
for tool in awk cut date dd df flock getent gzip journalctl mv readlink sha256sum stat sync \
    systemctl systemd-run systemd-sysusers tar timeout tr; do
    command -v "$tool" >/dev/null 2>&1 || tell lacks "$tool"
done
folder=$root/versions
while [ ! -d "$folder" ]; do folder=${folder%/*}; folder=${folder:-/}; done
tell free_kb "$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')"
tell root "$(readlink -m "$root")"
tell package "$(dpkg-query -W -f '${db:Status-Status}' twotone 2>/dev/null || true)"
tell current "$(named current)"
tell previous "$(named previous)"
[ ! -e "$root/pending" ] || tell pending "$(sed -n 2p "$root/pending")"
tell service "$(systemctl is-active twotone.service 2>/dev/null || true)"
if [ -r "$root/current/MANIFEST.toml" ]; then
    tell state_format "$(awk '$1 == "state_format" { print $3 }' "$root/current/MANIFEST.toml")"
    tell health "$(timeout 10 "$root/current/bin/twotone" --json health 2>/dev/null || true)"
fi
if [ -d "$root/versions/$version" ]; then
    tell version_state_format \
        "$(awk '$1 == "state_format" { print $3 }' "$root/versions/$version/MANIFEST.toml")"
    if (cd "$root/versions/$version" && sha256sum --check --strict --quiet SHA256SUMS) \
        >/dev/null 2>&1; then
        tell version whole
    else
        tell version damaged
    fi
fi
part=$root/versions/$version.part/$sum
[ ! -e "$part" ] || tell part "$(stat -c %s "$part")"
[ ! -e /etc/twotone/map.toml ] || tell map "$(sum_of /etc/twotone/map.toml)"
[ ! -e "$root/map.sum" ] || tell map_sent "$(cat "$root/map.sum")"
drop_in=/etc/systemd/system/twotone.service.d/50-site.conf
[ ! -e "$drop_in" ] || tell drop_in "$(sum_of "$drop_in")"
for link in twotone.service twotone-rollback.service multi-user.target.wants/twotone.service \
    multi-user.target.wants/twotone-rollback.service; do
    [ -L "/etc/systemd/system/$link" ] || tell lacks_link "$link"
done
[ ! -e "$root/claim" ] ||
    tell claim "$(cat "$root/claim") $(($(date +%s) - $(stat -c %Y "$root/claim"))) s ago"
for setting in "$@"; do
    tell "kernel:$setting" "$(sysctl -n "$setting" 2>/dev/null || true)"
done
