#!/bin/sh
# Fetches the build context by its link, checks that it is the one that was uploaded, and unpacks it.
set -eu

fail() {
    code=$1
    shift
    echo "$*" >&2
    exit "$code"
}

if [ -n "$CA" ]; then
    ls "$CA"/*.crt >/dev/null 2>&1 || fail 47 "there is no .crt in the ConfigMap of ca_bundle"
    for file in /etc/pki/tls/certs/ca-bundle.crt "$CA"/*.crt; do
        [ ! -f "$file" ] || cat "$file"
    done >"$WORK/ca.crt"
    set -- --cacert "$WORK/ca.crt"
fi

# the link is a secret: it goes through a pipe, and curl's errors do not show it
status=$(printf 'url = "%s"\n' "$(cat "$LINK/url")" |
    curl --config - "$@" --silent --show-error --location --retry 4 --connect-timeout 20 \
        --output "$WORK/context.tar.gz" --write-out '%{http_code}') || fail 41 "the object store cannot be reached"
case $status in
200) ;;
403) fail 43 "the object store refuses the link to the build context (HTTP 403)" ;;
404) fail 44 "the build context is gone from the object store (HTTP 404)" ;;
*) fail 42 "the object store answers HTTP $status" ;;
esac

echo "$SHA256  $WORK/context.tar.gz" | sha256sum --check --status ||
    fail 45 "the build context is not the one that was uploaded"
mkdir "$WORK/context"
tar --extract --gzip --no-same-owner --same-permissions --file "$WORK/context.tar.gz" --directory "$WORK/context"
echo "fetched the build context: $(wc -c <"$WORK/context.tar.gz") bytes"
