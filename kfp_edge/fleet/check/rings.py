"""Checks the kustomization of a model in a ring: one image by digest, of a model that is in the repository."""

import re
from collections.abc import Collection, Iterator, Mapping

import yaml

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.fleet.check.nodes import get, items, line_of, text_of
from kfp_edge.fleet.documents import DocumentError, parse_yaml
from kfp_edge.gitops.layout import KUSTOMIZATION, MODELS, RINGS

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def check_ring(path: str, data: bytes, model: str, paths: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong in the kustomization of a model in a ring.

    Args:
        path: Its path.
        data: Its contents.
        model: The name of the model.
        paths: The files of the repository below models/.
    """
    try:
        node = parse_yaml(data, path)
    except DocumentError as error:
        yield Finding.of(error)
        return
    base = f"../../../{MODELS}/{model}/base"
    resources = items(get(node, "resources"))
    if base not in {(text_of(resource) or "").rstrip("/") for resource in resources}:
        yield Finding(path, line_of(get(node, "resources")), f"does not have the resource {base}; add it.")
    elif f"{MODELS}/{model}/base/{KUSTOMIZATION}" not in paths:
        yield Finding(path, line_of(get(node, "resources")), f"has the resource {base}, which does not exist.")
    yield from _check_image(path, node, model)


def _check_image(path: str, node: yaml.Node | None, model: str) -> Iterator[Finding]:
    names = (model, f"oci://{model}")
    entries = [entry for entry in items(get(node, "images")) if text_of(get(entry, "name")) in names]
    if len(entries) != 1:
        count = len(entries) or "no"
        yield Finding(
            path,
            line_of(get(node, "images")),
            f"has {count} entries named {model} under images; leave exactly one there, with newName and digest.",
        )
        return
    digest = get(entries[0], "digest")
    if not _DIGEST.fullmatch(text_of(digest) or ""):
        yield Finding(
            path,
            line_of(digest or entries[0]),
            f"names the image {model} without a digest; write `digest: sha256:...`, since a tag may be moved.",
        )
    if not text_of(get(entries[0], "newName")):
        yield Finding(path, line_of(entries[0]), f"has no newName in its image {model}; add its repository.")


def read_ring_images(contents: Mapping[str, bytes]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return `name` and `newName` of the image of each model in each ring, of those that can be read.

    Args:
        contents: Files of the repository by their paths.
    """
    images = {}
    for path, data in contents.items():
        top, *folders = path.split("/")
        if top != RINGS or len(folders) != 3:
            continue
        ring, model, _ = folders
        try:
            node = parse_yaml(data, path)
        except DocumentError:
            continue  # a finding of the ring
        for entry in items(get(node, "images")):
            name, new_name = text_of(get(entry, "name")), text_of(get(entry, "newName"))
            if name in (model, f"oci://{model}") and new_name:
                images[ring, model] = (name, new_name)
    return images
