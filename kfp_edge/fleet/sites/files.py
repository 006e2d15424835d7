"""The files of a site, as kfp-edge writes them: `site.yaml`, and the kustomization that is what the site runs."""

import json
from collections.abc import Mapping, Sequence

from kfp_edge.fleet.contracts import Delivery, Site
from kfp_edge.fleet.units import format_duration
from kfp_edge.gitops.layout import KUSTOMIZATION, ring_resource, site_file, site_kustomization

#: The label of all objects of a site.
SITE_LABEL = "kfp-edge.io/site"
#: What KServe mounts as a volume: an image, by its name and digest after this.
IMAGE_VOLUME = "oci://"
#: The port of the first model of a site without Kubernetes; the next one has the next.
FIRST_PORT = 8080
#: The file that says where an InferenceService names its image.
KUSTOMIZE_CONFIG = "kustomizeconfig.yaml"


def render_site(site: Site, image_names: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a site by their paths.

    Args:
        site: What the site is.
        image_names: `newName` in the ring of each of its models, which the site's registry mirrors.
    """
    files = {site_file(site.name): _site_text(site), site_kustomization(site.name): _kustomization(site, image_names)}
    if any(name.startswith(IMAGE_VOLUME) for name in mirrored_images(site, image_names).values()):
        config = site_kustomization(site.name).replace(KUSTOMIZATION, KUSTOMIZE_CONFIG)
        files[config] = KUSTOMIZE_CONFIG_TEXT
    return {path: text.encode() for path, text in files.items()}


def mirrored_images(site: Site, image_names: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each image at the site's registry, by the name that the ring gives it.

    kustomize compares with the name after the ring's own replacement, so these are not the names in models/.
    """
    if not site.registry:
        return {}
    return {name: mirror_name(name, site.registry) for name in sorted(set(image_names.values()))}


def mirror_name(image_name: str, registry: str) -> str:
    """Return the name of an image at another registry: `quay.io/team/press` becomes `REGISTRY/team/press`."""
    scheme, separator, name = image_name.rpartition("://")
    return f"{scheme}{separator}{registry}/{name.partition('/')[2]}"


def _site_text(site: Site) -> str:
    lines = [
        f"apiVersion: {site.api_version}",
        "kind: Site",
        f"name: {_text(site.name)}",
        f"ring: {_text(site.ring)}",
        f"delivery: {site.delivery}",
        *([f"cluster: {_text(site.cluster)}"] if site.cluster else []),
        f"namespace: {_text(site.namespace)}",
        *_list("models", [_text(model) for model in site.models]),
    ]
    if site.labels:
        lines += ["labels:", *(f"  {_text(key)}: {_text(value)}" for key, value in site.labels.items())]
    if site.windows:
        lines.append("windows:")
    for window in site.windows:
        lines += [
            f"  - schedule: {_text(window.schedule)}",
            f"    duration: {format_duration(window.duration)}",
            f"    timeZone: {_text(window.time_zone)}",
        ]
    if site.registry:
        lines.append(f"registry: {_text(site.registry)}")
    if site.pull_secret:
        lines.append(f"pullSecret: {_text(site.pull_secret)}")
    return "\n".join(lines) + "\n"


def _kustomization(site: Site, image_names: Mapping[str, str]) -> str:
    lines = [
        "# What the site runs: the models of its ring, as site.yaml says. `kfp-edge fleet check` compares the two.",
        "# Patches of your own belong here, a digest does not: it comes from the ring.",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"namespace: {_text(site.namespace)}",
        *_list("resources", [ring_resource(site.ring, model) for model in site.models]),
        "labels:",
        "  - pairs:",
        f"      {SITE_LABEL}: {_text(site.name)}",
        "    includeTemplates: true",
    ]
    mirrored = mirrored_images(site, image_names)
    if mirrored:
        lines += ["# The site's registry. The names are those of the ring's `newName`.", "images:"]
    for name, new_name in mirrored.items():
        lines += [f"  - name: {_text(name)}", f"    newName: {_text(new_name)}"]
    if any(name.startswith(IMAGE_VOLUME) for name in mirrored):
        lines += ["configurations:", f"  - {KUSTOMIZE_CONFIG}"]
    lines += _patches(site)
    return "\n".join(lines) + "\n"


def _patches(site: Site) -> list[str]:
    if site.delivery == Delivery.PODMAN:
        comment = "# Podman publishes the port, and would run the probes inside the container, which has no shell."
        patches = [_podman_patch(model, FIRST_PORT + number) for number, model in enumerate(site.models)]
    else:
        comment = f"# The login of the registry: a Secret in {site.namespace}, which the operator of the site creates."
        paths = {"Deployment": "/spec/template/spec", "InferenceService": "/spec/predictor"}
        patches = [_pull_secret_patch(kind, path, site.pull_secret) for kind, path in paths.items()]
        patches = patches if site.pull_secret else []
    return [comment, "patches:", *(line for patch in patches for line in patch)] if patches else []


def _podman_patch(model: str, port: int) -> list[str]:
    container = "/spec/template/spec/containers/0"
    return [
        "  - target:",
        "      kind: Deployment",
        f"      name: {_text(model)}",
        "    patch: |-",
        "      - op: add",
        f"        path: {container}/ports/0/hostPort",
        f"        value: {port}",
        *(
            line
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            for line in ("      - op: remove", f"        path: {container}/{probe}")
        ),
    ]


def _pull_secret_patch(kind: str, pod_spec: str, secret: str) -> list[str]:
    return [
        "  - target:",
        f"      kind: {kind}",
        "    patch: |-",
        "      - op: add",
        f"        path: {pod_spec}/imagePullSecrets",
        f"        value: [{{name: {_text(secret)}}}]",
    ]


def _list(key: str, items: Sequence[str]) -> list[str]:
    return [f"{key}:", *(f"  - {item}" for item in items)] if items else [f"{key}: []"]


def _text(value: str) -> str:
    """Return a text in double quotes: without them, YAML reads `no` and `007` as something else."""
    return json.dumps(value, ensure_ascii=False)


KUSTOMIZE_CONFIG_TEXT = """\
# Where an InferenceService names its image, for `images`: kustomize itself knows the images of containers only.
images:
  - kind: InferenceService
    path: spec/predictor/model/storageUri
"""
