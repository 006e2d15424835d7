"""The components of our distributions of the collector, with their signals and the keys of their configuration.

Source: the modules of release 0.165 (`config.schema.yaml` and the `mapstructure` tags of each), as in `ocb.yaml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

#: The keys of a mapping; None stands for any value, `ANY_KEYS` for a mapping with names of the user's own.
Keys: TypeAlias = Mapping[str, "Keys | None"]

METRICS = frozenset({"metrics"})
ALL_SIGNALS = frozenset({"metrics", "traces", "logs"})
SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")


class Distribution(StrEnum):
    """Which collector a configuration is for."""

    SITE = "site"
    HUB = "hub"


@dataclass(frozen=True)
class Component:
    """A component of a distribution.

    Attributes:
        keys: Those of its configuration.
        signals: The pipelines that it works in; none for an extension.
        distributions: Those that have it.
    """

    keys: Keys
    signals: frozenset[str] = frozenset()
    distributions: frozenset[Distribution] = frozenset(Distribution)


def _names(*names: str) -> dict[str, Keys | None]:
    return dict.fromkeys(names)


_HUB = frozenset({Distribution.HUB})
_TLS = _names(
    "ca_file", "ca_pem", "cert_file", "cert_pem", "key_file", "key_pem", "cipher_suites", "curve_preferences",
    "include_system_ca_certs_pool", "max_version", "min_version", "reload_interval", "tpm",
)  # fmt: skip
_CLIENT_TLS: Keys = {**_TLS, **_names("insecure", "insecure_skip_verify", "server_name_override")}
_SERVER_TLS: Keys = {**_TLS, **_names("client_ca_file", "client_ca_file_reload")}
_AUTH: Keys = _names("authenticator")
_RETRY: Keys = _names(
    "enabled", "initial_interval", "max_interval", "max_elapsed_time", "multiplier", "randomization_factor"
)
_QUEUE: Keys = {
    **_names("enabled", "wait_for_result", "sizer", "queue_size", "block_on_overflow", "storage", "num_consumers"),
    "batch": {
        **_names("flush_timeout", "sizer", "min_size", "max_size"),
        "partition": _names("metadata_keys", "cache_size", "idle_timeout"),
    },
}
_HTTP_CLIENT: dict[str, Keys | None] = {
    "tls": _CLIENT_TLS,
    "auth": _AUTH,
    **_names(
        "endpoint", "proxy_url", "read_buffer_size", "write_buffer_size", "timeout", "headers", "compression",
        "compression_params", "max_conns_per_host", "max_idle_conns", "max_idle_conns_per_host", "idle_conn_timeout",
        "disable_keep_alives", "http2_read_idle_timeout", "http2_ping_timeout", "cookies", "force_attempt_http2",
        "middlewares", "keepalive",
    ),
}  # fmt: skip
_HTTP_SERVER: dict[str, Keys | None] = {
    "tls": _SERVER_TLS,
    "auth": {**_AUTH, **_names("request_params")},
    "cors": _names("allowed_origins", "allowed_headers", "exposed_headers", "max_age"),
    **_names(
        "endpoint", "transport", "dialer", "max_request_body_size", "include_metadata", "response_headers",
        "compression_algorithms", "read_timeout", "read_header_timeout", "write_timeout", "idle_timeout",
        "keep_alives_enabled", "middlewares", "keepalive",
    ),
}  # fmt: skip
_GRPC_SERVER: Keys = {
    "tls": _SERVER_TLS,
    "auth": _AUTH,
    **_names(
        "endpoint", "transport", "dialer", "max_recv_msg_size_mib", "max_concurrent_streams", "read_buffer_size",
        "write_buffer_size", "keepalive", "include_metadata", "middlewares",
    ),
}  # fmt: skip
_OTLP_HTTP = Component(
    {
        **_HTTP_CLIENT,
        "sending_queue": _QUEUE,
        "retry_on_failure": _RETRY,
        **_names("traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint", "encoding"),
    },
    ALL_SIGNALS,
)
_REMOTE_WRITE = Component(
    {
        **_HTTP_CLIENT,
        "http": _HTTP_CLIENT,
        "retry_on_failure": _RETRY,
        "remote_write_queue": _names("enabled", "queue_size", "num_consumers"),
        "sending_queue": _QUEUE,
        "resource_to_telemetry_conversion": None,
        "resource_constant_labels": None,
        "wal": None,
        "target_info": _names("enabled"),
        **_names(
            "namespace", "external_labels", "max_batch_size_bytes", "max_batch_request_parallelism",
            "disable_scope_info", "add_metric_suffixes", "translation_strategy", "send_metadata", "protobuf_message",
            "include_metadata_keys", "convert_explicit_histograms_to_nhcb", "keep_classic_histograms",
        ),
    },
    METRICS,
    _HUB,
)  # fmt: skip

COMPONENTS: Mapping[str, Mapping[str, Component]] = {
    "receivers": {
        "prometheus": Component(
            {
                "config": _names(
                    "global", "scrape_configs", "scrape_config_files", "runtime", "storage", "tracing", "otlp"
                ),
                **_names(
                    "trim_metric_suffixes", "target_allocator", "api_server", "scrape_on_shutdown",
                    "discovery_reload_on_startup", "initial_scrape_offset",
                ),
            },
            METRICS,
        ),
        "otlp": Component(
            {
                "protocols": {
                    "grpc": _GRPC_SERVER,
                    "http": {
                        **_HTTP_SERVER,
                        **_names("traces_url_path", "metrics_url_path", "logs_url_path", "profiles_url_path"),
                    },
                }
            },
            ALL_SIGNALS,
        ),
    },
    "processors": {
        "memory_limiter": Component(
            {
                "garbage_collector": _names("enabled"),
                **_names(
                    "check_interval", "limit_mib", "spike_limit_mib", "limit_percentage", "spike_limit_percentage",
                    "min_gc_interval_when_soft_limited", "min_gc_interval_when_hard_limited",
                    "max_gc_interval_when_soft_limited", "max_gc_interval_when_hard_limited",
                ),
            },
            ALL_SIGNALS,
        ),
        "resource": Component(_names("attributes"), ALL_SIGNALS),
        "probabilistic_sampler": Component(
            _names(
                "sampling_percentage", "hash_seed", "mode", "fail_closed", "sampling_precision", "attribute_source",
                "from_attribute", "sampling_priority",
            ),
            frozenset({"traces", "logs"}),
        ),
        "batch": Component(
            _names("timeout", "send_batch_size", "send_batch_max_size", "metadata_keys", "metadata_cardinality_limit"),
            ALL_SIGNALS,
            _HUB,
        ),
    },
    "exporters": {
        "otlp_http": _OTLP_HTTP,
        "prometheus_remote_write": _REMOTE_WRITE,
        "debug": Component(
            _names("verbosity", "sampling_initial", "sampling_thereafter", "use_internal_logger", "output_paths"),
            ALL_SIGNALS,
            _HUB,
        ),
    },
    "connectors": {},
    "extensions": {
        "file_storage": Component(
            {
                **_names(
                    "directory", "timeout", "max_size", "fsync", "create_directory", "directory_permissions",
                    "recreate",
                ),
                "compaction": _names(
                    "on_start", "on_rebound", "directory", "rebound_needed_threshold_mib",
                    "rebound_trigger_threshold_mib", "max_transaction_size", "check_interval", "cleanup_on_start",
                ),
            }
        ),
        "health_check": Component(
            {
                **_HTTP_SERVER,
                **_names("path", "response_body", "check_collector_pipeline", "http", "grpc", "component_health"),
            }
        ),
        "bearertokenauth": Component(
            _names("header", "scheme", "token", "tokens", "filename", "retry_on_failure", "wait_for_token_file")
        ),
    },
}  # fmt: skip

#: Names that the collector still takes for another one.
ALIASES: Mapping[str, str] = {"otlphttp": "otlp_http", "prometheusremotewrite": "prometheus_remote_write"}


#: Exporters that send over a network and keep what they could not send.
SENDERS = ("otlp_http", "prometheus_remote_write")


def find_component(section: str, type_name: str) -> Component | None:
    """Return a component by its type, None if no distribution of ours has it."""
    return COMPONENTS[section].get(type_name)


def names_of(section: str, distribution: Distribution) -> list[str]:
    """Return the components that a distribution has in a section."""
    return [name for name, component in COMPONENTS[section].items() if distribution in component.distributions]
