# Makes throw-away control hosts. Each is an overlay of the root of this computer in namespaces of
# its own. Its first process is systemd, it has a real sshd, and its address is on a bridge that
# nobody else sees. Everything is gone when the process of `site` ends. Needs root.
#
#   lab.sh site BASE             makes the bridge, and stays until its standard input ends
#   lab.sh host BASE NAME N      starts host 192.0.2.N, the first time or after a power loss
#   lab.sh kernel BASE NAME N    runs in the namespaces of the host; only `host` starts it
set -eu
task=$1
base=$2

site() {
    mount -t tmpfs tmpfs "$base"
    ssh-keygen -q -t ed25519 -N '' -f "$base/key"
    ip link set lo up
    ip link add br0 type bridge
    ip address add 192.0.2.1/24 dev br0
    ip link set br0 up
    : >"$base/ready"
    cat >/dev/null
}

# Gives a host the files that must be its own, and removes those that it must not inherit.
furnish() {
    root=$1 name=$2
    echo "$name" >"$root/etc/hostname"
    rm -f "$root/etc/machine-id"
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$root/etc/machine-id"
    echo >>"$root/etc/machine-id"
    rm -f "$root"/etc/ssh/ssh_host_* "$root/usr/sbin/policy-rc.d" "$root"/root/.bash* \
        "$root"/root/.profile "$root"/etc/systemd/system/*.wants/*
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
    rm -rf "$root/root/.ssh"
    mkdir -m 700 "$root/root/.ssh"
    cp "$base/key.pub" "$root/root/.ssh/authorized_keys"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s /lib/systemd/system/ssh.service "$root/etc/systemd/system/multi-user.target.wants/"
    sed -i 's|^account.*pam_nologin.*||' "$root/etc/pam.d/sshd"
    for unit in systemd-sysctl.service systemd-modules-load.service systemd-firstboot.service \
        systemd-timesyncd.service systemd-user-sessions.service apt-daily.timer \
        apt-daily-upgrade.timer man-db.timer dpkg-db-backup.timer e2scrub_all.timer; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root/mnt/old"
}

host() {
    name=$1 number=$2
    folder=$base/$name
    root=$folder/root
    if [ ! -d "$folder" ]; then
        mkdir -p "$folder/upper" "$folder/work" "$root"
        mount -t overlay overlay \
            -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work,volatile" "$root"
        furnish "$root" "$name"
        sed "s/^/192.0.2.$number /; s/ [^ ]*\$//" "$root/etc/ssh/ssh_host_ed25519_key.pub" \
            >>"$base/known_hosts"
    fi
    # The processes of the host have a control group of their own, which systemd takes for the top
    # one.
    top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    group=$top/tt-deploy-$(basename "$base")-$name
    mkdir -p "$group"
    echo $$ >"$group/cgroup.procs"
    ip link delete "v$number" 2>/dev/null || true
    ip link add "v$number" type veth peer name "p$number"
    ip link set "v$number" master br0 up
    # A process must not stay in the folder of a test, which may vanish.
    cd /
    machine=$(cat "$base/$name.machine" 2>/dev/null || uname -m)
    setarch "$machine" unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child \
        --propagation private sh "$base/lab.sh" kernel "$base" "$name" "$number" \
        </dev/null >"$folder/console" 2>&1 &
    outer=$!
    echo $$ >"$top/cgroup.procs"
    inner=
    while [ -z "$inner" ]; do
        inner=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null) || inner=
        inner=${inner% }
    done
    echo "$inner" >"$folder/pid"
    ip link set "p$number" netns "$inner"
}

kernel() {
    name=$1 number=$2
    root=$base/$name/root
    until ip link show "p$number" >/dev/null 2>&1; do :; done
    hostname "$name"
    ip link set lo up
    ip link set "p$number" name eth0
    ip address add "192.0.2.$number/24" dev eth0
    ip link set eth0 up
    cd "$root"
    mount -t proc proc proc
    # The kernel settings of this computer must not be writable from the host.
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        : >"dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    pivot_root . mnt/old
    umount -l /mnt/old
    exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=multi-user.target
}

shift 2
"$task" "$@"
