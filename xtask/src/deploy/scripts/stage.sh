# Makes the folder for the files of the site, or says which of them the site does not have.
# Arguments: names of files that are to be removed.
staged=/opt/twotone/staged
rm -rf "$staged"
mkdir "$staged"
for name in "$@"; do : >"$staged/$name.absent"; done
