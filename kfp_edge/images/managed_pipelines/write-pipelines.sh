#!/bin/sh
# Writes managed pipelines to the volume from which the API server loads them when it starts: NAME.yaml of each, and
# managed-pipelines.json with their names and descriptions. An init container runs this as any user, with a read-only
# root filesystem. PIPELINE_NAMES, separated by commas, chooses some of them; without it, all are written.
#
# The arguments, if there are any, are the command of the image that this one is built on, which writes managed
# pipelines of its own: those stay.
set -eu

volume=/config/managed-pipelines
manifest=$volume/managed-pipelines.json
image=${0%/*}

fail() {
    echo "error: $1" >&2
    exit 1
}

own=
for entry in "$image"/pipelines/*.json; do
    name=${entry##*/}
    own="$own ${name%.json}"
done

chosen=$own
of_the_base=
if [ -n "${PIPELINE_NAMES:-}" ]; then
    chosen=
    commas=,$PIPELINE_NAMES,
    for name in $own; do
        case $commas in
            *",$name,"*)
                chosen="$chosen $name"
                commas=${commas%%",$name,"*},${commas#*",$name,"}
                ;;
        esac
    done
    of_the_base=${commas#,}
    of_the_base=${of_the_base%,}
fi

# the volume outlives a container that fails and is started again
rm -f "$volume"/*.yaml "$manifest"

entries=
if [ $# -gt 0 ] && { [ -z "${PIPELINE_NAMES:-}" ] || [ -n "$of_the_base" ]; }; then
    if [ -n "$of_the_base" ]; then
        PIPELINE_NAMES=$of_the_base "$@"
    else
        "$@"
    fi
    [ -f "$manifest" ] || fail "the command of the base, $*, has not written $manifest."
    written=$(cat "$manifest")
    for name in $own; do
        case $written in
            # it has copied the list of the image, which names all
            *"\"$name\""*) written=$(cat "$image/base.json") ;;
        esac
        rm -f "$volume/$name.yaml"
    done
    entries=${written#*\[}
    entries=${entries%\]*}
fi

for name in $chosen; do
    case $entries in *\{*) separator=, ;; *) separator= ;; esac
    cp "$image/pipelines/$name.yaml" "$volume/$name.yaml"
    entries=$entries$separator$(cat "$image/pipelines/$name.json")
done
printf '[%s]\n' "$entries" >"$manifest"

IFS=,
for name in $of_the_base; do
    [ -f "$volume/$name.yaml" ] || fail "this image has no managed pipeline $name; its own are:$own."
done
echo "wrote managed pipelines to $volume:$chosen${of_the_base:+, and of the base: $of_the_base}"
