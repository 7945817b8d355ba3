# Starts the daemon again, if it was stopped for the work.
# Arguments: folder.
if [ -e "$1/daemon" ]; then
    systemctl start twotone.service
    rm -f "$1/daemon"
fi
