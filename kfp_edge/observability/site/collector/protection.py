"""What a configuration does not protect: a link without TLS, a secret in the file."""

import re
from collections.abc import Iterator

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.gitops.yaml_text import items
from kfp_edge.observability.site.collector.components import SENDERS
from kfp_edge.observability.site.collector.document import VARIABLE, Configuration, Entry

_LOOPBACK = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])([:/]|$)")
_ENDPOINTS = ("endpoint", "metrics_endpoint", "traces_endpoint", "logs_endpoint", "profiles_endpoint")
#: Keys whose value is a secret, in components and in the configuration of scrapes.
_SECRETS = ("token", "tokens", "key_pem", "password", "credentials", "bearer_token", "client_secret", "secret_key")
#: Headers that carry one.
_SECRET_HEADER = re.compile(r"(?i)(proxy-)?authorization|.*(api-?key|token|secret).*")


def check_protection(configuration: Configuration) -> Iterator[Finding]:
    """Yield links that are not encrypted, and secrets that stand in a file."""
    for exporter in configuration.components("exporters"):
        if exporter.type_name in SENDERS:
            yield from _check_tls(exporter)
    for section in configuration.sections:
        for component in configuration.components(section):
            yield from _check_secrets(component)


def _check_tls(exporter: Entry) -> Iterator[Finding]:
    for key in _ENDPOINTS:
        entry, text = exporter.get(key), exporter.text(key) or ""
        if entry and text.casefold().startswith("http://") and not _LOOPBACK.match(text):
            yield entry.finding(f"{entry.path} is sent without TLS; write https://.")
    insecure = exporter.get("tls", "insecure_skip_verify")
    if insecure and exporter.is_true("tls", "insecure_skip_verify"):
        yield insecure.finding(
            f"{insecure.path} lets anyone pose as the hub; remove it, and name the hub's CA in ca_file."
        )


def _check_secrets(entry: Entry) -> Iterator[Finding]:
    for each in entry.entries():
        is_header = entry.name == "headers" and _SECRET_HEADER.fullmatch(each.name)
        if each.name in _SECRETS or is_header:
            if _is_written(each):
                yield each.finding(f"{each.path} is a secret in the file; name a file in its place ({_remedy(each)}).")
        else:
            yield from _check_secrets(each)
            for number, item in enumerate(items(each.node)):
                yield from _check_secrets(Entry(f"{each.path}[{number}]", each.file, item, item))


def _is_written(entry: Entry) -> bool:
    """Whether a value stands in the file itself, and is not read from a variable or a file at the start."""
    texts = [each.name for each in entry.references()] or [entry.name if entry.node is None else _text(entry)]
    return any(text and VARIABLE not in text for text in texts)


def _text(entry: Entry) -> str:
    value = getattr(entry.node, "value", "")
    return value if isinstance(value, str) else ""


def _remedy(entry: Entry) -> str:
    return {
        "token": "filename",
        "tokens": "filename",
        "key_pem": "key_file",
        "password": "password_file",
        "credentials": "credentials_file",
        "bearer_token": "authorization.credentials_file",
        "client_secret": "client_secret_file",
    }.get(entry.name, "${file:PATH}")
