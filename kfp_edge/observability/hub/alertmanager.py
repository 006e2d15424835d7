"""The check of an Alertmanager configuration for what `amtool check-config` accepts, and what mutes a whole fleet."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.hub.rules.contracts import Alert
from kfp_edge.observability.hub.rules.rule_files import all_groups
from kfp_edge.observability.hub.rules.settings import AlertSettings

_MATCHER = re.compile(r"""\s*["']?([\w.]+)["']?\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^",}]*?))\s*(?:,|$)""")
#: Keys of receivers whose values are secrets, and of which there is one that ends with `_file`.
_SECRETS = re.compile(
    r"(smtp_)?auth_password|slack_api_url|opsgenie_api_key|victorops_api_key|routing_key|service_key"
    r"|api_key|api_url|bot_token|token|user_key|password|credentials|client_secret|webhook_url"
)
#: Keys of this name that hold no secret in some receivers: the API's address, without a path that is one.
_PUBLIC_ADDRESSES = re.compile(r"https?://(api\.(eu\.)?opsgenie\.com|alert\.victorops\.com|qyapi\.weixin\.qq\.com)/?.*")


@dataclass(frozen=True)
class _Entry:
    """A key of a mapping and its value, with the line of the key."""

    line: int
    node: yaml.Node


def check_alertmanager(file: Path) -> list[Finding]:
    """Return what is wrong in an Alertmanager configuration, in the order of its lines.

    Raises:
        ParameterError: the file cannot be read or is no YAML.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ParameterError(f"{file} cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise ParameterError(f"{file} is no YAML: {' '.join(str(error).split())}.") from error
    except RecursionError:
        raise ParameterError(f"{file} is no YAML: it is nested too deeply.") from None
    if not isinstance(root, yaml.MappingNode):
        raise ParameterError(f"{file} is no configuration of Alertmanager: it must be a mapping with a route.")
    entries = _entries(root)
    try:
        findings = [
            *_check_inhibitions(str(file), entries.get("inhibit_rules")),
            *_check_grouping(str(file), entries.get("route")),
            *_check_secrets(str(file), root),
        ]
    except RecursionError:
        raise ParameterError(f"{file} is no YAML: an anchor is named in its own value.") from None
    return sorted(findings, key=lambda each: each.line)


def _check_inhibitions(file: str, rules: _Entry | None) -> Iterator[Finding]:
    for number, rule in enumerate(_items(rules), 1):
        if not isinstance(rule, yaml.MappingNode):
            continue  # `amtool check-config` finds it
        entries = _entries(rule)
        line = rule.start_mark.line + 1
        equal = entries.get("equal")
        labels = _texts(equal)
        source = _matchers(entries, "source")
        alerts = sorted({alert.name for alert in _alerts_of_sites() if _selects(source, alert)})
        names_alerts = any(name == "alertname" for name, _, _ in source)
        of_one_site = all(
            any(name == "site" and kind == "=" for name, kind, _ in matchers)
            for matchers in (source, _matchers(entries, "target"))
        )
        if "site" in labels or of_one_site:
            continue
        # `equal: []` says that it is meant, where a severity only would be that of any alert
        if alerts and (labels or names_alerts):
            yield Finding(
                file,
                line,
                f"inhibition {number} has no `site` in `equal`: {alerts[0]} of one site would mute the alerts of all "
                "sites; add equal: [site].",
            )
        elif equal is None:
            yield Finding(
                file,
                line,
                f"inhibition {number} has no `equal`: one alert mutes the alerts of all sites; add equal: [site], or "
                "equal: [] if that is what you want.",
            )


def _check_grouping(file: str, route: _Entry | None, *, is_root: bool = True) -> Iterator[Finding]:
    if route is None or not isinstance(route.node, yaml.MappingNode):
        return
    entries = _entries(route.node)
    group_by = entries.get("group_by")
    # a route below takes that of its parent, unless it has its own
    if (group_by or is_root) and not _texts(group_by) & {"site", "..."}:
        yield Finding(
            file,
            group_by.line if group_by else route.line,
            "the route does not group by `site`: an outage of one site is no message of its own; add it to group_by.",
            "warning",
        )
    for child in _items(entries.get("routes")):
        yield from _check_grouping(file, _Entry(child.start_mark.line + 1, child), is_root=False)


def _check_secrets(file: str, node: yaml.Node) -> Iterator[Finding]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _check_secrets(file, item)
    if isinstance(node, yaml.MappingNode):
        for key, entry in _entries(node).items():
            is_text = isinstance(entry.node, yaml.ScalarNode) and entry.node.value
            if is_text and _SECRETS.fullmatch(key) and not _PUBLIC_ADDRESSES.fullmatch(entry.node.value):
                yield Finding(
                    file,
                    entry.line,
                    f"{key} holds a secret in this file; write it into a file of its own and name that in {key}_file.",
                )
            yield from _check_secrets(file, entry.node)


def _alerts_of_sites() -> list[Alert]:
    """Return our alerts that have the label `site`."""
    rules = (rule for group in all_groups(AlertSettings()) for rule in group.rules)
    return [rule for rule in rules if isinstance(rule, Alert) and "$labels.site" in rule.summary]


def _selects(matchers: list[tuple[str, str, str]], alert: Alert) -> bool:
    """Whether matchers name an alert: they have one of its labels that we know, and all of these match."""
    labels = {"alertname": alert.name, "severity": str(alert.severity)}
    known = [(labels[name], kind, text) for name, kind, text in matchers if name in labels]
    is_of_hub = any(name == "site" and (kind, text) == ("=", "") for name, kind, text in matchers)
    return bool(known) and not is_of_hub and all(_matches(kind, text, value) for value, kind, text in known)


def _matches(kind: str, text: str, value: str) -> bool:
    if kind in ("=", "!="):
        return (value == text) == (kind == "=")
    try:
        return bool(re.fullmatch(text, value)) == (kind == "=~")
    except re.error:
        return False


def _matchers(entries: dict[str, _Entry], side: str) -> list[tuple[str, str, str]]:
    """Return the label, the operator and the text of each matcher, also of those of before version 0.22."""
    matchers = [
        (name, kind, quoted.replace('\\"', '"') or plain)
        for item in _items(entries.get(f"{side}_matchers"))
        if isinstance(item, yaml.ScalarNode)
        for name, kind, quoted, plain in _MATCHER.findall(item.value.strip().strip("{}"))
    ]
    for key, kind in ((f"{side}_match", "="), (f"{side}_match_re", "=~")):
        if key in entries:
            matchers += [(name, kind, str(entry.node.value)) for name, entry in _entries(entries[key].node).items()]
    return matchers


def _entries(node: yaml.Node) -> dict[str, _Entry]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    entries: dict[str, _Entry] = {}
    for key, value in node.value:
        if key.value == "<<":
            entries = _entries(value) | entries
        elif isinstance(key, yaml.ScalarNode):
            entries[key.value] = _Entry(key.start_mark.line + 1, value)
    return entries


def _texts(entry: _Entry | None) -> set[str]:
    return {item.value for item in _items(entry) if isinstance(item, yaml.ScalarNode)}


def _items(entry: _Entry | None) -> list[yaml.Node]:
    if entry is None:
        return []
    return list(entry.node.value) if isinstance(entry.node, yaml.SequenceNode) else [entry.node]
