"""Writes the rules: a rule file of Prometheus, and a PrometheusRule of its operator with the same groups."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from kfp_edge.observability.block_yaml import dump_blocks
from kfp_edge.observability.hub.rules.budgets import budget_rules
from kfp_edge.observability.hub.rules.collectors import collector_rules
from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording
from kfp_edge.observability.hub.rules.drift import drift_rules
from kfp_edge.observability.hub.rules.feeds import feed_rules
from kfp_edge.observability.hub.rules.servers import idle_rules, server_rules
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge.observability.hub.rules.sites import site_rules
from kfp_edge.storage.files import write_file

RULE_FILE, CUSTOM_RESOURCE = "kfp-edge.rules.yaml", "prometheusrule.yaml"
_HEAD = "# Written by `kfp-edge observe rules`; change its settings, not this file.\n"
#: The labels by which the Prometheus of the operator's usual installation selects rules.
_LABELS = {"app.kubernetes.io/part-of": "kfp-edge", "prometheus": "kfp-edge", "role": "alert-rules"}

_Document = dict[str, object]


def all_groups(settings: AlertSettings) -> tuple[Group, ...]:
    """Return all rules of the hub; recorded series come before the rules that use them."""
    return (
        site_rules(settings),
        server_rules(),
        *budget_rules(settings),
        drift_rules(settings.drift),
        collector_rules(settings),
        feed_rules(),
        idle_rules(),
    )


def render_rules(settings: AlertSettings) -> dict[str, str]:
    """Return the texts of the two files, by name."""
    groups = [_describe_group(group, settings) for group in all_groups(settings)]
    resource: _Document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "kfp-edge", "labels": _LABELS},
        "spec": {"groups": groups},
    }
    documents: dict[str, _Document] = {RULE_FILE: {"groups": groups}, CUSTOM_RESOURCE: resource}
    return {name: _HEAD + dump_blocks(document) for name, document in documents.items()}


def render_rule_file(groups: Iterable[Group], settings: AlertSettings) -> str:
    """Return the text of a rule file with these groups."""
    return dump_blocks({"groups": [_describe_group(group, settings) for group in groups]})


def write_rules(settings: AlertSettings, folder: Path) -> list[Path]:
    """Write both files into a folder and return their paths.

    Raises:
        StorageError: they cannot be written.
    """
    paths = []
    for name, text in render_rules(settings).items():
        write_file(folder / name, text.encode())
        paths.append(folder / name)
    return paths


def outdated_files(settings: AlertSettings, folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are missing, or are not what the settings give."""
    for name, text in render_rules(settings).items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            yield path


def _describe_group(group: Group, settings: AlertSettings) -> _Document:
    return {
        "name": group.name,
        "interval": group.interval,
        "rules": [
            _describe_recording(rule) if isinstance(rule, Recording) else _describe_alert(rule, settings.runbooks)
            for rule in group.rules
        ],
    }


def _describe_recording(rule: Recording) -> _Document:
    return {"record": rule.name, "expr": rule.expression}


def _describe_alert(rule: Alert, runbooks: str) -> _Document:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": rule.lasts,
        "labels": {"severity": str(rule.severity)},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": f"{runbooks}#{rule.name.lower()}",
        },
    }
