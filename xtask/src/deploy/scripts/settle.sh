# Decides if the version of an activation that was cut stays.
root=/opt/twotone
if systemctl is-active -q twotone-activate.service; then
    echo "another activation is under way" >&2
    exit 1
fi
if [ -e /etc/systemd/system/twotone-rollback.service ]; then
    systemctl reset-failed twotone-rollback.service 2>/dev/null || true
    systemctl start twotone-rollback.service
else
    sh "$root/versions/$(sed -n 2p "$root/pending")/libexec/activate" settle
fi
