#!/usr/bin/env bash
# Buildah pushes a base image's layer under another digest, even where nothing was changed.
#
# Versions: buildah 1.28.2 and skopeo 1.9.3 (Debian 12's packages), storage driver vfs.
#
# Expected: layers are addressed by content, so an image built FROM a base shares the base's layers: the layer that was
#   pulled and not touched is pushed with the digest that it was pulled with. At the least an image that was only
#   pulled and pushed keeps its digest.
#
# Seen: the storage keeps layers unpacked, and the push compresses them anew. The same files come out as other
#   bytes unless the base was compressed by the same program at the same level. Committing straight into an OCI layout
#   gives a third digest, as it does not compress. Only skopeo, which copies blobs, keeps the digest.
#
# Output seen:
#   base: sha256:3f446da59fd797f (gzip)
#   copied with skopeo: sha256:3f446da59fd797f (gzip)
#   pulled and pushed: sha256:d718b27e7bd1080 (gzip)
#   built from it and pushed: sha256:d718b27e7bd1080 (gzip)
#   built from it and committed to an OCI layout: sha256:a13991121275759 (plain)
#
# Why it matters here: a site with a thin line that has the base already downloads it again, a signature or a scan
#   report for the base's digest matches nothing, and mirrors hold each base twice. To keep the digest, append layers to
#   the base's own blobs in an OCI layout and copy with skopeo.
#
# Upstream: by design: maintainers write in containers/buildah issue 3377 that pull, build and push do not promise to
#   keep the compression. Tried with an OCI layout as target; a registry that is known to have the blob may be reused.
set -euo pipefail

for tool in buildah skopeo jq python3; do
  command -v "$tool" > /dev/null || { echo "missing: install $tool from the distribution" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tool=(buildah --root "$folder/storage" --runroot "$folder/run" --storage-driver vfs)
"${tool[0]}" --version
skopeo --version

# An image of one file, compressed by zlib at level 9, as many builders do.
python3 - <<'PYTHON'
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

blobs = Path("base/blobs/sha256")
blobs.mkdir(parents=True)
oci = "application/vnd.oci.image."


def blob(content, media_type):
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": oci + media_type, "digest": f"sha256:{digest}", "size": len(content)}


buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as tar:
    member = tarfile.TarInfo("weights.txt")
    content = b"weights " * 20_000
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
layer = blob(gzip.compress(buffer.getvalue(), 9, mtime=0), "layer.v1.tar+gzip")
diff_id = "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()
config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json"}
manifest |= {"config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
Path("base/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
Path("base/oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
PYTHON

# The digest of the first layer of an OCI layout, and whether it is compressed.
first_layer() {
  skopeo inspect --raw "oci:$1:latest" | jq -r '.layers[0] |
    .digest[:22] + (if .mediaType | endswith("gzip") then " (gzip)" else " (plain)" end)'
}

{
  skopeo copy oci:base:latest oci:copied:latest
  container=$("${tool[@]}" from oci:base:latest)
  "${tool[@]}" push localhost/base oci:pushed:latest
  echo new > added
  "${tool[@]}" copy "$container" added /added
  "${tool[@]}" commit "$container" oci:committed:latest
  "${tool[@]}" commit "$container" localhost/built
  "${tool[@]}" push localhost/built oci:built:latest
} > log 2>&1 || { tail -n 3 log >&2; exit 2; }

base=$(first_layer base) copied=$(first_layer copied) pushed=$(first_layer pushed)
built=$(first_layer built) committed=$(first_layer committed)
echo "base: $base"
echo "copied with skopeo: $copied"
echo "pulled and pushed: $pushed"
echo "built from it and pushed: $built"
echo "built from it and committed to an OCI layout: $committed"
if [ "$copied" != "$base" ] || [ "$pushed" = "$base" ] || [ "$built" != "$pushed" ] || [ "$committed" = "$base" ]; then
  echo "changed: buildah no longer gives the untouched layer of a base another digest when it pushes" >&2
  exit 1
fi
