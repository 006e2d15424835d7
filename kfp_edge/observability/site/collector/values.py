"""Values with which the collector does not start, or that it takes for others; and the keys of scrapes.

Source: the modules of release 0.165, and Prometheus v0.315 (`config.go`, `relabel.go`), which that release has.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from ruamel.yaml.nodes import ScalarNode

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.site.collector.components import SECTIONS
from kfp_edge.observability.site.collector.document import VARIABLE, Configuration, Entry
from kfp_edge.suggestions import did_you_mean

_DURATION = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+|0")
_NUMBER = re.compile(r"[+-]?\d+")
_SCRAPE_DURATION = re.compile(r"(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?|0")

#: Keys of components whose values are durations of Go.
_DURATIONS = frozenset({
    "timeout", "initial_interval", "max_interval", "max_elapsed_time", "check_interval", "reload_interval",
    "flush_timeout", "idle_timeout", "read_timeout", "read_header_timeout", "write_timeout", "idle_conn_timeout",
    "http2_read_idle_timeout", "http2_ping_timeout", "min_gc_interval_when_soft_limited",
    "min_gc_interval_when_hard_limited", "max_gc_interval_when_soft_limited", "max_gc_interval_when_hard_limited",
})  # fmt: skip
#: Keys whose values are whole numbers, and the smallest that is taken.
_NUMBERS: Mapping[str, int] = {
    "limit_mib": 0, "spike_limit_mib": 0, "limit_percentage": 0, "spike_limit_percentage": 0, "num_consumers": 1,
    "max_size": 0, "max_request_body_size": 0, "rebound_needed_threshold_mib": 0, "rebound_trigger_threshold_mib": 0,
}  # fmt: skip
_TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "compression": ("gzip", "zstd", "snappy", "zlib", "deflate", "lz4", "x-snappy-framed", "none", ""),
    "min_version": _TLS_VERSIONS,
    "max_version": _TLS_VERSIONS,
}
_ATTRIBUTE_ACTIONS = ("insert", "update", "upsert", "delete", "hash", "extract", "convert")
_LOG_LEVELS = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")
#: Mappings whose keys are names of the user's own, and the scrapes, which have rules of their own.
_PASSED_OVER = frozenset({"config", "headers", "response_headers", "external_labels", "resource_constant_labels"})

_SCRAPE_LIMITS = (
    "scrape_interval", "scrape_timeout", "scrape_protocols", "scrape_native_histograms",
    "always_scrape_classic_histograms", "convert_classic_histograms_to_nhcb", "scrape_failure_log_file",
    "body_size_limit", "sample_limit", "target_limit", "label_limit", "label_name_length_limit",
    "label_value_length_limit", "keep_dropped_targets", "metric_name_validation_scheme", "metric_name_escaping_scheme",
    "extra_scrape_metrics",
)  # fmt: skip
_GLOBAL_KEYS = (*_SCRAPE_LIMITS, "evaluation_interval", "rule_query_offset", "query_log_file", "external_labels")
_SCRAPE_KEYS = (
    *_SCRAPE_LIMITS, "job_name", "honor_labels", "honor_timestamps", "track_timestamps_staleness", "params",
    "fallback_scrape_protocol", "metrics_path", "scheme", "enable_compression", "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor", "relabel_configs", "metric_relabel_configs", "static_configs", "basic_auth",
    "authorization", "oauth2", "bearer_token", "bearer_token_file", "tls_config", "follow_redirects", "enable_http2",
    "http_headers", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header",
)  # fmt: skip
_RELABEL_KEYS = ("source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action")
_RELABEL_ACTIONS = (
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase",
    "uppercase",
)  # fmt: skip
_DISCOVERIES: Mapping[str, tuple[str, ...]] = {
    "static_configs": ("targets", "labels"),
    "dns_sd_configs": ("names", "type", "port", "refresh_interval"),
    "file_sd_configs": ("files", "refresh_interval"),
}


def check_values(configuration: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with values and scrapes."""
    for section in SECTIONS:
        for component in configuration.components(section):
            yield from _check_component(component)
            if section == "receivers" and component.type_name == "prometheus":
                yield from _check_scrapes(component)
            if section == "processors" and component.type_name == "memory_limiter":
                yield from _check_memory_limiter(component)
            if section == "processors" and component.type_name == "resource":
                for each in _items(component, "attributes"):
                    yield from _check_choice(each.get("action"), _ATTRIBUTE_ACTIONS)
    for service in configuration.service:
        yield from _check_choice(service.get("telemetry", "logs", "level"), _LOG_LEVELS)


def _check_component(entry: Entry) -> Iterator[Finding]:
    for each in entry.entries():
        text = _plain(each)
        if each.name in _PASSED_OVER:
            continue
        if text is None:
            yield from _check_component(each)
        elif each.name in _DURATIONS:
            yield from _check_duration(each, text)
        elif each.name in _NUMBERS:
            yield from _check_number(each, text, _NUMBERS[each.name])
        elif each.name in _CHOICES:
            yield from _check_choice(each, _CHOICES[each.name])


def is_duration(text: str) -> bool:
    """Whether the collector reads a text as a duration with a unit."""
    return _DURATION.fullmatch(text) is not None


def _check_number(entry: Entry, text: str, least: int) -> Iterator[Finding]:
    digits = text.replace("_", "")
    if not _NUMBER.fullmatch(digits):
        yield entry.finding(f"{entry.path} is {text!r}, which is no whole number; the collector does not start.")
    elif int(digits) < least:
        yield entry.finding(f"{entry.path} is {text}; write a whole number from {least} on.")


def _check_memory_limiter(entry: Entry) -> Iterator[Finding]:
    if (entry.text("check_interval") or "0").strip("0smhunµ.") == "":
        yield entry.finding(
            f"{entry.path} has no check_interval, without which the collector does not start; write check_interval: 1s."
        )
    if not any((entry.text(key) or "").strip("0_") for key in ("limit_mib", "limit_percentage")):
        yield entry.finding(
            f"{entry.path} has no limit, without which the collector does not start; write limit_mib: 160."
        )


def _check_duration(entry: Entry, text: str) -> Iterator[Finding]:
    if is_duration(text):
        return
    if _NUMBER.fullmatch(text):
        yield entry.finding(
            f"{entry.path} is {text}, which the collector takes for nanoseconds; write the unit, such as {text}s."
        )
        return
    yield entry.finding(f"{entry.path} is {text!r}, which is no duration such as 30s; the collector does not start.")


def _check_scrapes(receiver: Entry) -> Iterator[Finding]:
    if everywhere := receiver.get("config", "global"):
        yield from _check_keys(everywhere, _GLOBAL_KEYS)
        yield from _check_scrape_durations(everywhere)
    for scrape in _items(receiver, "config", "scrape_configs"):
        discoveries = [each.name for each in scrape.entries() if each.name.endswith("_sd_configs")]
        yield from _check_keys(scrape, (*_SCRAPE_KEYS, *_DISCOVERIES, *discoveries))
        yield from _check_scrape_durations(scrape)
        for name, keys in _DISCOVERIES.items():
            for each in _items(scrape, name):
                yield from _check_keys(each, keys)
                yield from _check_scrape_durations(each)
        for name in ("relabel_configs", "metric_relabel_configs"):
            for each in _items(scrape, name):
                yield from _check_keys(each, _RELABEL_KEYS)
                yield from _check_choice(each.get("action"), _RELABEL_ACTIONS)


def _check_scrape_durations(entry: Entry) -> Iterator[Finding]:
    for name in ("scrape_interval", "scrape_timeout", "refresh_interval"):
        each = entry.get(name)
        text = _plain(each) if each else None
        if each and text is not None and not (text and _SCRAPE_DURATION.fullmatch(text)):
            yield each.finding(
                f"{each.path} is {text!r}, which is no duration such as 60s; the collector does not start."
            )


def _check_keys(entry: Entry, known: Collection[str]) -> Iterator[Finding]:
    for each in entry.entries():
        if each.name not in known:
            yield each.finding(
                f"{entry.path} has the key {each.name}, with which the collector does not start; "
                f"{did_you_mean(each.name, known)}remove it."
            )


def _check_choice(entry: Entry | None, choices: tuple[str, ...]) -> Iterator[Finding]:
    text = _plain(entry) if entry else None
    # the collector reads levels and actions in any case of the letters
    if entry and text is not None and text.casefold() not in choices:
        named = ", ".join(filter(None, choices))
        yield entry.finding(
            f"{entry.path} is {text!r}, with which the collector does not start; {did_you_mean(text, choices)}"
            f"write one of {named}."
        )


def _items(entry: Entry, *keys: str) -> list[Entry]:
    """Return the items of the list at some keys, with its path."""
    listed = entry.get(*keys)
    return listed.references() if listed else []


def _plain(entry: Entry) -> str | None:
    """Return the text of a plain value; None of a mapping, a list, nothing or a variable."""
    node = entry.node
    if not isinstance(node, ScalarNode) or VARIABLE in node.value or str(node.tag).endswith(":null"):
        return None
    return str(node.value)
