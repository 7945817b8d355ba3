# Installs, upgrades, removes and purges a package in a throw-away root. The root is an overlay over
# the root of this computer, in a mount namespace of its own. Nothing of it is left afterwards.
#
# Arguments: an empty folder to mount on, and the package. The exit status is 77 if this computer
# cannot make such a root.
set -eu
scratch=$1
package=$2
root=$scratch/root

{
    mount -t tmpfs tmpfs "$scratch" &&
        mkdir "$scratch/upper" "$scratch/work" "$root" &&
        mount -t overlay overlay \
            -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root" &&
        mount --rbind /dev "$root/dev" &&
        mount -t proc proc "$root/proc"
} || exit 77
cp "$package" "$root/tmp/rehearsed.deb"
# Without this file, dpkg does not make the index of all manual pages, which takes long.
rm -f "$root/var/lib/man-db/auto-update"

inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}
must() {
    "$@" || {
        echo "after the $stage: not so: $*" >&2
        exit 1
    }
}
must_not() {
    if "$@" >/dev/null 2>&1; then
        echo "after the $stage: should not be so: $*" >&2
        exit 1
    fi
}
# Installs the documentation pages too, which images for containers leave out. Without a terminal,
# dpkg cannot ask.
install() {
    inside dpkg --path-include='*' --install /tmp/rehearsed.deb >"$scratch/log" 2>&1 </dev/null || {
        cat "$scratch/log" >&2
        exit 1
    }
}
wanted=/etc/systemd/system/multi-user.target.wants/twotone.service

stage=installation
must_not inside test -e /usr/bin/twotone
install
must inside twotone --version >/dev/null
must inside getent passwd twotone >/dev/null
must inside test -d /etc/twotone
must test -z "$(inside dpkg --verify twotone)"
must_not test -L "$root$wanted"
must inside twotone check /usr/share/doc/twotone/examples/maps/one-board.toml >/dev/null

stage=upgrade
inside systemctl --quiet enable twotone.service
echo mine >"$root/etc/twotone/map.toml"
mkdir -p "$root/var/lib/twotone"
echo mine >"$root/var/lib/twotone/run"
install
must test -L "$root$wanted"
must grep -q mine "$root/etc/twotone/map.toml"

stage=removal
inside dpkg --remove twotone >/dev/null 2>&1 </dev/null
must_not inside test -e /usr/bin/twotone
must grep -q mine "$root/etc/twotone/map.toml"
must grep -q mine "$root/var/lib/twotone/run"

stage='second installation'
install
must test -L "$root$wanted"
must inside twotone --version >/dev/null

stage=purge
inside dpkg --purge twotone >/dev/null 2>&1 </dev/null
must grep -q mine "$root/etc/twotone/map.toml"
must grep -q mine "$root/var/lib/twotone/run"
left=$(cd "$scratch/upper" && find . -name '*twotone*' ! -type c | sort | tr '\n' ' ')
must test "$left" = './etc/twotone ./var/lib/twotone '
