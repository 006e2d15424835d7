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

# prints the last error of curl without its advice, which is about curl
explain() {
    why="curl: ($1)"
    while read -r line; do
        case $line in curl:*) why=$line ;; esac
    done <"$WORK/curl.log"
    echo "$why"
}

# the link is a secret: it goes through a pipe, and curl's errors do not show it
code=0
status=$(printf 'url = "%s"\n' "$(cat "$LINK/url")" |
    curl --config - "$@" --silent --show-error --location --retry 4 --connect-timeout 20 \
        --output "$WORK/context.tar.gz" --write-out '%{http_code}' 2>"$WORK/curl.log") || code=$?
case $code in
0) ;;
# the certificate of the store is not trusted or for another host (51 before curl 7.62), or the CA cannot be read
51 | 60 | 77) fail 48 "$(explain "$code")" ;;
*) fail 41 "$(explain "$code")" ;;
esac
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
