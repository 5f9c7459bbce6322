#!/bin/bash
# Run a command as the container is run, without a container: no network, every file system read-only but OUT and a
# scratch folder, another user than root, no capability but to read (the interpreter may lie in root's home), no new
# privileges. Root is needed to set it up; where the system forbids it, the first command that it forbids fails.
#   confined.sh INPUTS OUT COMMAND...     INPUTS is seen as /media, OUT as /mnt, the scratch folder is /srv
set -euo pipefail
if [ "${1:-}" != --inside ]; then
    exec unshare --net --mount --propagation private -- "$0" --inside "$@"
fi
inputs=$2 out=$3
shift 3
mount --bind "$inputs" /media
mount --bind "$out" /mnt
mount -t tmpfs -o mode=1777,size=2g tmpfs /srv
for place in / $(findmnt --list --noheadings --output TARGET | grep -vE '^/(mnt|srv|proc|dev)?(/.*)?$') /media; do
    mount -o remount,bind,ro "$place"
done
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search -- "$@"
