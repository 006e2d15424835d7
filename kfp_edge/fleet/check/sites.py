"""Compares what a site runs, its kustomization, with what the site is, its `site.yaml`."""

from collections.abc import Collection, Iterator, Mapping

import yaml

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.fleet.check.nodes import get, items, line_of, text_of
from kfp_edge.fleet.contracts import Delivery, Site
from kfp_edge.fleet.documents import DocumentError, parse_yaml
from kfp_edge.fleet.sites.files import IMAGE_VOLUME, SITE_LABEL, mirror_name
from kfp_edge.gitops.layout import (
    parse_ring_resource,
    ring_kustomization,
    ring_resource,
    site_file,
    site_kustomization,
)

#: `name` and `newName` of the image of each model in each ring.
RingImages = Mapping[tuple[str, str], tuple[str, str]]


def check_kustomization(
    folder: str, site: Site, contents: Mapping[str, bytes], paths: Collection[str], ring_images: RingImages
) -> Iterator[Finding]:
    """Yield where the kustomization of a site does not fit its `site.yaml`, or would have no effect.

    Args:
        folder: The folder of the site, which is its name.
        site: What the site is.
        contents: The kustomizations of the repository by their paths.
        paths: All files below sites/, rings/ and models/.
        ring_images: See `read_ring_images`.
    """
    path = site_kustomization(folder)
    data = contents.get(path)
    if data is None:
        yield Finding(path, 0, "is missing; it says what the site runs.")
        return
    try:
        node = parse_yaml(data, path)
    except DocumentError as error:
        yield Finding.of(error)
        return
    yield from _check_resources(path, node, site, paths)
    yield from _check_namespace(path, node, site)
    images = {model: names for model in site.models if (names := ring_images.get((site.ring, model)))}
    yield from _check_images(path, node, images)
    yield from _check_mirror(path, node, site, images)
    yield from _check_pull_secret(path, node, site)
    yield from _check_podman(path, node, site, images)


def _check_resources(path: str, node: yaml.Node | None, site: Site, paths: Collection[str]) -> Iterator[Finding]:
    resources = get(node, "resources")
    named = {}
    includes_others = get(node, "components") is not None
    for item in items(resources):
        resource = text_of(item) or ""
        ring_and_model = parse_ring_resource(resource)
        if ring_and_model is None:  # objects of the site's own, or a folder that may bring models
            includes_others = includes_others or not resource.endswith((".yaml", ".yml", ".json"))
            continue
        ring, model = ring_and_model
        if model in named:
            yield Finding(path, line_of(item), f"has the model {model} twice; keep one of them.")
        named[model] = item
        if ring != site.ring:
            yield Finding(
                path,
                line_of(item),
                f"has {model} of the ring {ring}, not of {site.ring}; write {ring_resource(site.ring, model)}.",
            )
        if model not in site.models:
            yield Finding(
                path, line_of(item), f"has the model {model}, which models in site.yaml does not name; add it there."
            )
    for model in site.models:
        if model not in named and ring_kustomization(site.ring, model) in paths and not includes_others:
            yield Finding(
                path,
                line_of(resources),
                f"does not have the model {model} of site.yaml; add {ring_resource(site.ring, model)} to resources.",
            )


def _check_namespace(path: str, node: yaml.Node | None, site: Site) -> Iterator[Finding]:
    namespace = get(node, "namespace")
    if text_of(namespace) != site.namespace:
        yield Finding(
            path,
            line_of(namespace),
            f"has {text_of(namespace) or 'nothing'} as namespace, but site.yaml {site.namespace}; write it here, too.",
        )
    pairs = [get(entry, "pairs") for entry in items(get(node, "labels"))]
    pairs.append(get(node, "commonLabels"))
    labels = [label for each in pairs if (label := get(each, SITE_LABEL)) is not None]
    if not labels or text_of(labels[0]) != site.name:
        yield Finding(
            path,
            line_of(labels[0]) if labels else line_of(get(node, "labels")),
            f"does not label its objects with {SITE_LABEL}: {site.name}; add it to labels.",
        )


def _check_images(path: str, node: yaml.Node | None, images: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    ring_names = {new_name: model for model, (_, new_name) in images.items()}
    model_names = dict(images.values())
    for entry in items(get(node, "images")):
        name = text_of(get(entry, "name")) or ""
        if name in model_names and name not in ring_names:
            yield Finding(
                path,
                line_of(entry),
                f"replaces the image {name}, which has no effect: after the ring it is called {model_names[name]}; "
                "write that as name.",
            )
        for key in ("digest", "newTag"):
            value = get(entry, key)
            if value is not None and name in ring_names:
                yield Finding(
                    path,
                    line_of(value),
                    f"sets the {key} of {name} at the site, so that no release of the ring and no rollback reaches it; "
                    "remove it, or move the site to another ring.",
                )


def _check_mirror(
    path: str, node: yaml.Node | None, site: Site, images: Mapping[str, tuple[str, str]]
) -> Iterator[Finding]:
    if not site.registry:
        return
    entries = items(get(node, "images"))
    replaced = {text_of(get(entry, "name")): text_of(get(entry, "newName")) for entry in entries}
    for _, new_name in images.values():
        if new_name not in replaced:
            wanted = mirror_name(new_name, site.registry)
            yield Finding(
                path,
                line_of(get(node, "images")),
                f"does not replace {new_name} by the registry of site.yaml; add {{name: {new_name}, newName: "
                f"{wanted}}} to images.",
            )
        elif not (replaced[new_name] or "").removeprefix("oci://").startswith(f"{site.registry}/"):
            yield Finding(
                path,
                line_of(get(node, "images")),
                f"replaces {new_name} by {replaced[new_name]}, but site.yaml has the registry {site.registry}; let "
                "both name one registry.",
            )


def _check_pull_secret(path: str, node: yaml.Node | None, site: Site) -> Iterator[Finding]:
    patches = get(node, "patches")
    texts = [text_of(get(patch, "patch")) or "" for patch in items(patches)]
    in_files = any(get(patch, "path") is not None for patch in items(patches))  # files that are not read here
    in_pods = site.pull_secret and site.delivery != Delivery.PODMAN
    if in_pods and not in_files and not any(site.pull_secret in text for text in texts):
        yield Finding(
            path,
            line_of(patches),
            f"does not give pods the pull secret {site.pull_secret} of site.yaml; add a patch with imagePullSecrets.",
        )


def _check_podman(
    path: str, node: yaml.Node | None, site: Site, images: Mapping[str, tuple[str, str]]
) -> Iterator[Finding]:
    """Yield what has no effect, or does not work, where Podman runs the models."""
    if site.delivery != Delivery.PODMAN:
        return
    if site.windows:
        message = "has windows, which have no effect where Podman delivers; set OnCalendar of kfp-edge-site.timer."
        yield Finding(site_file(site.name), 0, message, "warning")
    patched = [text_of(get(get(patch, "target"), "name")) for patch in items(get(node, "patches"))]
    in_files = any(get(patch, "path") is not None for patch in items(get(node, "patches")))
    for model, (name, _) in images.items():
        if name.startswith(IMAGE_VOLUME):
            yield Finding(path, 0, f"has the InferenceService {model}, which Podman does not run; use a Deployment.")
        elif model not in patched and not in_files:
            message = f"has no patch with a hostPort for {model}, without which Podman publishes no port; add one."
            yield Finding(path, line_of(get(node, "patches")), message)
