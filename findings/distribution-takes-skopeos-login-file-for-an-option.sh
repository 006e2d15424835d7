#!/usr/bin/env bash
# A registry of Distribution does not start where the variable is set in which Skopeo and Buildah find their login.
#
# Versions: docker-registry 2.8.2+ds1-1 (Distribution 2.8.2, Debian 12's package).
#
# Expected: REGISTRY_AUTH_FILE is the variable of containers-auth.json(5), which every tool around Skopeo reads. A
#   registry has a configuration file of its own; a client's variable in the same environment does not concern it.
#
# Seen: Distribution takes every variable REGISTRY_A_B for the field a.b of its configuration. REGISTRY_AUTH_FILE is
#   auth.file to it, an authentication provider called `file`, and a text where a mapping belongs. It ends with an error
#   that blames line 1 of the configuration file, which is valid, and names neither variable nor field. So do its other
#   commands, such as garbage-collect.
#
# Output seen:
#   without the variable: the registry runs
#   with REGISTRY_AUTH_FILE: exit code 1
#   configuration error: error parsing registry.yml: yaml: unmarshal errors:
#     line 1: cannot unmarshal !!str `/home/u...` into configuration.Parameters
#
# Why it matters here: CI jobs and sites run a registry beside the tools that fill it, from one environment file. Start
#   the registry with `env -u REGISTRY_AUTH_FILE`.
#
# Upstream: the scheme of variables is documented ("Override specific configuration options"); that it meets this name
#   is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq docker-registry=2.8.2+ds1-1 2> /dev/null
dpkg -x docker-registry_*.deb .
mkdir images
cat > registry.yml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $folder/images}}
http: {addr: "127.0.0.1:0"}
YAML

unset REGISTRY_AUTH_FILE
code=0
timeout 3 usr/bin/docker-registry serve registry.yml > without.log 2>&1 || code=$?
[ "$code" -eq 124 ] || { echo "changed: without the variable it ended with $code"; exit 1; }
echo "without the variable: the registry runs"

code=0
REGISTRY_AUTH_FILE=/home/user/.config/containers/auth.json \
  timeout 3 usr/bin/docker-registry serve registry.yml > with.log 2>&1 || code=$?
echo "with REGISTRY_AUTH_FILE: exit code $code"
head -2 with.log
grep -q "line 1: cannot unmarshal" with.log && [ "$code" -ne 124 ] \
  || { echo "changed: the registry starts with REGISTRY_AUTH_FILE set"; exit 1; }
