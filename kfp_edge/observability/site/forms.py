"""The three forms of a site's collector, made of one configuration: plain Kubernetes, the operator, Podman.

The files in `deploy/observability/site` are the template, with the sizes of `DEFAULT_SIZE`. Values in them are replaced
where they stand, so that comments stay.
"""

import json
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import kfp_edge.observability.site.template
from kfp_edge.errors import ParameterError
from kfp_edge.fleet.sites.files import SITE_LABEL
from kfp_edge.gitops.yaml_text import Path as YamlPath
from kfp_edge.gitops.yaml_text import find_node, find_span, parse_node
from kfp_edge.observability.site.queue_size import MIB, QueueSize

_TEMPLATE = Path(kfp_edge.observability.site.template.__file__).parent
_NAME = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(rf"https://{_NAME}(\.{_NAME})*\.?(:(?P<port>[1-9]\d{{0,4}}))?(/[A-Za-z0-9._~/-]*)?")
_MAX_PORT = 65_535
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SCRAPES: YamlPath = ("receivers", "prometheus", "config", "scrape_configs")
#: A server may bring so many times the series that the queue was computed for.
_SAMPLE_LIMIT = 5

CONFIGURATION = "collector.yaml"
_RING_LABEL = "kfp-edge.io/ring"
#: An image that cannot be pulled, for files that are not rendered for a site.
PLACEHOLDER = f"registry.example/edge/kfp-edge-collector@sha256:{'0' * 64}"
_PLACEHOLDER_COMMENT = re.compile(r"^ *# replace both; this digest of zeros .*\n", re.MULTILINE)
_IMAGE = re.compile(r"[a-z0-9.-]+(:\d{1,5})?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}")
#: What a queue holds by default: 72 h of 1,000 series and those of the collector, every 60 s.
DEFAULT_SIZE = QueueSize(timedelta(hours=72), 1030, 2, timedelta(seconds=60))


class Form(StrEnum):
    """How a collector is run."""

    KUBERNETES = "kubernetes"
    OPERATOR = "operator"
    PODMAN = "podman"


@dataclass(frozen=True)
class SiteSettings:
    """What is different from site to site.

    Attributes:
        site: The name of the site.
        ring: The ring of the site.
        hub: The URL of the hub's OTLP/HTTP receiver.
        size: The size of the queue.
        image: The image of the collector, by its digest.
    """

    site: str = "site-1"
    ring: str = "canary"
    hub: str = "https://telemetry.example"
    size: QueueSize = DEFAULT_SIZE
    image: str = PLACEHOLDER

    def check(self) -> None:
        """Raise a ParameterError if a value cannot be used."""
        for name, value in (("site", self.site), ("ring", self.ring)):
            if not _LABEL.fullmatch(value):
                raise ParameterError(
                    f"the {name} is {value!r}; it must be a DNS label: lower-case letters, digits and -, at most 63."
                )
        if not _IMAGE.fullmatch(self.image):
            raise ParameterError(
                f"the image is {self.image!r}; name it by its digest, such as "
                "registry.example/edge/kfp-edge-collector@sha256:..."
            )
        url = _URL.fullmatch(self.hub)
        if url is None or int(url["port"] or 0) > _MAX_PORT:
            raise ParameterError(
                f"the hub is {self.hub!r}; write the https:// URL of its OTLP/HTTP receiver, without /v1/metrics and "
                "without a login."
            )


def render_form(form: Form, settings: SiteSettings) -> dict[str, bytes]:
    """Return the files of a collector by their paths.

    Raises:
        ParameterError: a setting cannot be used.
    """
    settings.check()
    texts = _FORMS[form](settings)
    if settings.image != PLACEHOLDER:
        texts = {path: _PLACEHOLDER_COMMENT.sub("", text) for path, text in texts.items()}
    return {path: text.encode() for path, text in texts.items()}


def render_configuration(size: QueueSize) -> str:
    """Return the configuration with a queue of another size."""
    interval = f"{size.interval.total_seconds():g}s"
    return _replace(
        _read(CONFIGURATION).replace(_describe(DEFAULT_SIZE), _describe(size)),
        {
            (*_SCRAPES, 0, "scrape_interval"): interval,
            (*_SCRAPES, 1, "scrape_interval"): interval,
            (*_SCRAPES, 0, "sample_limit"): str(math.ceil(_SAMPLE_LIMIT * size.series / 1000) * 1000),
            ("exporters", "otlp_http", "sending_queue", "queue_size"): str(size.queue_bytes),
            ("extensions", "file_storage", "max_size"): str(size.file_bytes),
        },
    )


def _kubernetes(settings: SiteSettings) -> dict[str, str]:
    hub = _environment_path(_read("deployment.yaml"), ("spec", "template", "spec", "containers", 0), "KFP_EDGE_HUB")
    name, _, digest = settings.image.partition("@")
    kustomization: dict[YamlPath, str] = {
        ("labels", 0, "pairs", SITE_LABEL): json.dumps(settings.site),
        ("labels", 0, "pairs", _RING_LABEL): json.dumps(settings.ring),
        ("images", 0, "newName"): name,
        ("images", 0, "digest"): digest,
    }
    return {
        CONFIGURATION: render_configuration(settings.size),
        "kustomization.yaml": _replace(_read("kustomization.yaml"), kustomization),
        "deployment.yaml": _replace(_read("deployment.yaml"), {hub: settings.hub}),
        "service.yaml": _read("service.yaml"),
        "networkpolicy.yaml": _read("networkpolicy.yaml"),
        "persistentvolumeclaim.yaml": _replace(
            _read("persistentvolumeclaim.yaml"),
            {("spec", "resources", "requests", "storage"): _volume_size(settings.size)},
        ),
    }


def _operator(settings: SiteSettings) -> dict[str, str]:
    text = _read("operator/opentelemetrycollector.yaml").partition("\n  config:")[0] + "\n"
    values = {"KFP_EDGE_SITE": settings.site, "KFP_EDGE_RING": settings.ring, "KFP_EDGE_HUB": settings.hub}
    # a site called 007 stays a text
    edits = {_environment_path(text, ("spec",), name): json.dumps(value) for name, value in values.items()}
    claim: YamlPath = ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage")
    sizes = {claim: _volume_size(settings.size), ("spec", "image"): settings.image}
    resource = _replace(text, {**edits, **sizes})
    configuration = _without_head(render_configuration(settings.size))
    policy = _read("networkpolicy.yaml").replace(
        "      app.kubernetes.io/name: kfp-edge-collector\n",
        "      app.kubernetes.io/component: opentelemetry-collector\n"
        "      app.kubernetes.io/managed-by: opentelemetry-operator\n",
    )
    return {
        "kustomization.yaml": _read("operator/kustomization.yaml"),
        "opentelemetrycollector.yaml": f"{resource}  config:\n{textwrap.indent(configuration, '    ')}",
        "service.yaml": _read("service.yaml"),
        "networkpolicy.yaml": policy,
    }


def _podman(settings: SiteSettings) -> dict[str, str]:
    values = {"KFP_EDGE_SITE": settings.site, "KFP_EDGE_RING": settings.ring, "KFP_EDGE_HUB": settings.hub}
    environment = _read("podman/collector.env")
    for name, value in values.items():
        environment = re.sub(f"^{name}=.*$", f"{name}={value}", environment, flags=re.MULTILINE)
    return {
        CONFIGURATION: _with_target_file(render_configuration(settings.size)),
        "kfp-edge-collector.container": re.sub(
            r"^Image=.*$", f"Image={settings.image}", _read("podman/kfp-edge-collector.container"), flags=re.MULTILINE
        ),
        "kfp-edge-collector.volume": _read("podman/kfp-edge-collector.volume"),
        "collector.env": environment,
        "targets.yaml": _read("podman/targets.yaml"),
    }


_FORMS: Mapping[Form, Callable[[SiteSettings], dict[str, str]]] = {
    Form.KUBERNETES: _kubernetes,
    Form.OPERATOR: _operator,
    Form.PODMAN: _podman,
}


def _with_target_file(configuration: str) -> str:
    """Replace the name of the Service by a file with targets: without Kubernetes, there is no such name."""
    lines = configuration.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.strip() == "dns_sd_configs:")
    end = next(number for number, line in enumerate(lines) if number > start and line.strip() == "relabel_configs:")
    indent = " " * (len(lines[start]) - len(lines[start].lstrip()))
    block = textwrap.indent("file_sd_configs:\n  - files:\n      - /etc/otelcol/targets.yaml\n", indent)
    comment = f"{indent}# The models of this machine; the file is read again when it changes.\n"
    first = start - 1 if lines[start - 1].lstrip().startswith("#") else start
    return "".join([*lines[:first], comment, block, *lines[end:]])


def _without_head(text: str) -> str:
    """Return a configuration without the comment at its beginning, which is about the file."""
    lines = text.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[first:])


def _environment_path(text: str, container: YamlPath, name: str) -> YamlPath:
    """Return where the value of a variable stands."""
    document = parse_node(text, CONFIGURATION)
    number = 0
    while (node := find_node(document, (*container, "env", number, "name"))) is not None and node.value != name:
        number += 1
    return (*container, "env", number, "value")


def _replace(text: str, values: Mapping[YamlPath, str]) -> str:
    for path, value in values.items():
        start, end = find_span(text, parse_node(text, CONFIGURATION), path, CONFIGURATION)
        text = text[:start] + value + text[end:]
    return text


def _describe(size: QueueSize) -> str:
    """Return what a queue was computed for, as the comment of the configuration has it."""
    hours = size.outage / timedelta(hours=1)
    return f"{hours:g} h of {size.series:,} series every {size.interval.total_seconds():g} s"


def _volume_size(size: QueueSize) -> str:
    return f"{size.volume_bytes // MIB}Mi"


def _read(name: str) -> str:
    return (_TEMPLATE / name).read_text(encoding="utf-8")
