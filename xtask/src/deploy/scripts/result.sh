# Prints the result of an activation, or that it is still under way.
# Arguments: id.
root=/opt/twotone
[ ! -e "$root/claim" ] || touch "$root/claim"
if [ -e "$root/result" ] && [ "$(sed -n 's/^id //p' "$root/result")" = "$1" ] &&
    ! { [ -e "$root/pending" ] && [ "$(sed -n 1p "$root/pending")" = "$1" ]; }; then
    cat "$root/result"
    exit 0
fi
for unit in twotone-activate.service twotone-rollback.service; do
    case $(systemctl is-active "$unit" 2>/dev/null) in
    active | activating | deactivating | reloading)
        echo "outcome running"
        exit 0
        ;;
    esac
done
[ ! -e "$root/pending" ] || {
    echo "outcome undecided"
    exit 0
}
echo "outcome none"
