# Releases the claim of a deployment.
# Arguments: id.
claim=/opt/twotone/claim
if [ -e "$claim" ] && [ "$(cut -d ' ' -f 1 "$claim")" = "$1" ]; then rm -f "$claim"; fi
