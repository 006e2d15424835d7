#!/usr/bin/env bash
# `podman load` takes the tag of an image in an OCI archive for its name: two images with one tag replace each other.
#
# Versions: podman 4.3.1 and skopeo 1.9.3 (Debian 12's packages), storage driver vfs.
#
# Expected: `skopeo copy IMAGE oci-archive:FILE:1.4.0` writes version 1.4.0 of an image into a file. After loading the
#   files of two images, `press` and `fan`, each is in the storage under a name with the tag 1.4.0, or the second load
#   reports that the name is taken.
#
# Seen: what follows the last colon is a tag for skopeo (annotation org.opencontainers.image.ref.name), and a name
#   for podman: the first image becomes localhost/1.4.0:latest. The second load moves that name to the other image, with
#   exit code 0 and the same output, and leaves the first one without a name. The digests stay as they were, and a
#   reference by digest finds both, under any name, also one that no image ever had.
#
# Output seen:
#   press: Loaded image: localhost/1.4.0:latest
#   fan: Loaded image: localhost/1.4.0:latest
#   localhost/1.4.0:latest is fan
#   quay.io/plant/press:1.4.0 not found
#   quay.io/plant/press@sha256:... found
#
# Why it matters here: at a site without a network, images come in files. A container that is started by the name after
#   two loads runs the other image. Name images by digest, or copy with skopeo to containers-storage:NAME, which gives
#   an image the name that is meant.
#
# Upstream: containers/podman issue 11553 (open since 2021): the annotation may be a whole reference, as `podman save`
#   writes it, and without a slash it is completed with localhost/.
set -euo pipefail

for tool in podman skopeo python3; do
  command -v "$tool" > /dev/null || { echo "missing: install $tool from the distribution" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tool=(podman --root "$folder/storage" --runroot "$folder/run" --storage-driver vfs)
podman --version
skopeo --version

# Two images of one file each, which is named after the image.
python3 - <<'PYTHON'
import hashlib
import io
import json
import tarfile
from pathlib import Path

oci = "application/vnd.oci.image."


def blob(folder, content, media_type):
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    return {"mediaType": oci + media_type, "digest": f"sha256:{digest}", "size": len(content)}


for name in ("press", "fan"):
    blobs = Path(name, "blobs/sha256")
    blobs.mkdir(parents=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    layer = blob(blobs, buffer.getvalue(), "layer.v1.tar")
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"name": name}}}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
    manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json"}
    manifest |= {"config": blob(blobs, json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
    entry = blob(blobs, json.dumps(manifest).encode(), "manifest.v1+json")
    Path(name, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    Path(name, "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
PYTHON

for name in press fan; do
  skopeo copy --quiet "oci:$name" "oci-archive:$name.tar:1.4.0"
  echo "$name: $("${tool[@]}" load --quiet --input "$name.tar")"
done
named=$("${tool[@]}" image inspect --format '{{.Labels.name}}' localhost/1.4.0:latest 2> /dev/null || echo nothing)
digest=$(skopeo inspect --format '{{.Digest}}' oci-archive:press.tar:1.4.0)
find_image() { "${tool[@]}" image exists "$1" && echo found || echo "not found"; }
by_tag=$(find_image quay.io/plant/press:1.4.0) by_digest=$(find_image "quay.io/plant/press@$digest")
echo "localhost/1.4.0:latest is $named"
echo "quay.io/plant/press:1.4.0 $by_tag"
echo "quay.io/plant/press@sha256:... $by_digest"
if [ "$named" != fan ] || [ "$by_tag" = found ] || [ "$by_digest" != found ]; then
  echo "changed: podman no longer gives images of one tag the same name when it loads them" >&2
  exit 1
fi
