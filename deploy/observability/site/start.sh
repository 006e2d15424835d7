#!/bin/sh
# Starts the collector; the entry point of its image (Containerfile). A file of the queue that is damaged is set aside
# first: the collector would not start with it, and `recreate` of file_storage covers few kinds of damage.
set -eu

queue=${KFP_EDGE_QUEUE:-/var/lib/otelcol/queue}
for file in "$queue"/*; do
    case $file in
        *.damaged | *'/*') continue ;;
    esac
    if [ -s "$file" ] && ! bbolt check "$file" > /dev/null 2>&1; then
        # one is kept, so that a disk that goes on damaging files does not fill up
        mv -f "$file" "$file.damaged"
        echo "start.sh: $file is damaged; it is now $file.damaged, and the queue begins empty" >&2
    fi
done
exec kfp-edge-collector "$@"
