#!/bin/sh
# Builds the image of the context with Buildah and pushes it; the arguments are flags of `buildah build`.
set -eu

fail() {
    code=$1
    shift
    echo "$*" >&2
    exit "$code"
}

if [ -n "$AUTH" ]; then
    [ -f "$AUTH/.dockerconfigjson" ] || fail 46 "there is no .dockerconfigjson in the Secret of registry_secret"
    export REGISTRY_AUTH_FILE="$AUTH/.dockerconfigjson"
fi
certificates=
if [ -n "$CA" ]; then
    certificates=--cert-dir=$CA
fi

set -- --storage-driver="$STORAGE_DRIVER" build ${certificates:+"$certificates"} --isolation=chroot --format=oci \
    --layers=false --identity-label=false "$@" --file="$WORK/context/Containerfile"
digest=$WORK/digest
if [ -n "$PLATFORMS" ]; then
    # one after the other: of several at once, Buildah lists first what ends first, and the digest is another each time
    for platform in $PLATFORMS; do
        buildah "$@" --platform="$platform" --manifest="$IMAGE" "$WORK/context"
    done
    buildah --storage-driver="$STORAGE_DRIVER" manifest push --all --format=oci ${certificates:+"$certificates"} \
        --digestfile="$digest" "$IMAGE" "docker://$IMAGE"
else
    buildah "$@" --tag="$IMAGE" "$WORK/context"
    buildah --storage-driver="$STORAGE_DRIVER" push --format=oci ${certificates:+"$certificates"} \
        --digestfile="$digest" "$IMAGE" "docker://$IMAGE"
fi

printf %s "$IMAGE" >"$RESULTS/IMAGE_URL"
cat "$digest" >"$RESULTS/IMAGE_DIGEST"
echo "pushed $IMAGE@$(cat "$digest")"
