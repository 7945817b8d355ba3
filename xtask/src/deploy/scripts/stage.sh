# Makes the folder for the files of the site, and marks the files that the host must remove.
# Arguments: names of the files to remove.
staged=/opt/twotone/staged
rm -rf "$staged"
mkdir "$staged"
for name in "$@"; do : >"$staged/$name.absent"; done
