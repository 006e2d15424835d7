"""The check of a collector's configuration: what it finds, and what is right and passes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.site.collector.check import check_collector
from kfp_edge.observability.site.collector.components import Distribution
from kfp_edge.observability.site.forms import DEFAULT_SIZE
from support.paths import ROOT

SITE = ROOT / "deploy/observability/site/collector.yaml"
TEXT = SITE.read_text()
QUEUE_SIZE = f"queue_size: {DEFAULT_SIZE.queue_bytes}"
HUB = """
receivers:
  otlp:
    protocols:
      http:
        endpoint: 0.0.0.0:4318
        tls: {cert_file: /tls/tls.crt, key_file: /tls/tls.key, client_ca_file: /tls/ca.crt}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 75, spike_limit_percentage: 15}
exporters:
  prometheusremotewrite:
    endpoint: https://prometheus:9090/api/v1/write
    retry_on_failure: {max_elapsed_time: 0}
    sending_queue: {storage: file_storage/hub, sizer: bytes, queue_size: 100, num_consumers: 1}
    target_info: {enabled: true}
extensions:
  file_storage/hub:
    {directory: /queue, fsync: true, recreate: true, max_size: 1000000000, compaction: {on_rebound: true}}
service:
  extensions: [file_storage/hub]
  pipelines:
    metrics/sites: {receivers: [otlp], processors: [memory_limiter], exporters: [prometheusremotewrite]}
"""


def check(tmp_path: Path, *texts: str, distribution: Distribution = Distribution.SITE) -> list[Finding]:
    files = [tmp_path / f"collector-{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return check_collector(files, distribution)


def changed(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return text


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


class TestOurConfigurations:
    def test_of_a_site_passes(self) -> None:
        assert check_collector([SITE]) == []

    def test_of_a_hub_passes_for_the_distribution_of_the_hub_only(self, tmp_path: Path) -> None:
        assert check(tmp_path, HUB, distribution=Distribution.HUB) == []
        assert "exporters.prometheusremotewrite is no component of the site distribution" in str(
            check(tmp_path, HUB)[0]
        )

    def test_in_two_files_are_checked_as_one(self, tmp_path: Path) -> None:
        head, tail = TEXT.split("\nservice:\n")
        assert check(tmp_path, head, f"service:\n{tail}") == []

    def test_in_a_custom_resource_are_checked_at_their_lines(self, tmp_path: Path) -> None:
        indented = "\n".join(
            f"    {line}" if line else "" for line in changed(("fsync: true", "fsync: false")).split("\n")
        )
        resource = f"apiVersion: opentelemetry.io/v1beta1\nkind: OpenTelemetryCollector\nspec:\n  config:\n{indented}"
        (finding,) = check(tmp_path, resource)
        assert finding.line == line_of(resource, "fsync: false")


class TestFindings:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "        - prometheus\n",
                "        - prometheu\n",
                "uses prometheu, which receivers does not define; did you mean prometheus?",
            ),
            (
                "    - health_check\n",
                "    - healthcheck\n",
                "service.extensions names healthcheck, which extensions does not define",
            ),
            (
                "    - file_storage\n",
                "",
                "names the extension file_storage, which is not started; add it to service.extensions",
            ),
            (
                "      storage: file_storage",
                "      storage: file_storage/queue",
                "file_storage/queue, which is not defined; did you mean file_storage?",
            ),
            (
                "  otlp_http:\n",
                "  kafka:\n",
                "exporters.kafka is no component of the site distribution; its exporters are otlp_http",
            ),
            (
                "limit_mib: 160",
                "limit: 160",
                "processors.memory_limiter has the key limit, with which the collector does not start",
            ),
            (
                "num_consumers: 1",
                "num_consumer: 1",
                "has the key num_consumer, with which the collector does not start; did you mean num_consumers?",
            ),
            (
                "    compression: gzip\n",
                "    compression: gzip\n    compression: zstd\n",
                "exporters.otlp_http.compression is there twice",
            ),
            (
                "timeout: 30s",
                "timeout: 30",
                "exporters.otlp_http.timeout is 30, which the collector takes for nanoseconds; write the unit, such",
            ),
            ("timeout: 30s", "timeout: 30x", "exporters.otlp_http.timeout is '30x', which is no duration"),
            (
                "max_elapsed_time: 0s",
                "max_elapsed_time: never",
                "max_elapsed_time is 'never', which is no duration such as 30s",
            ),
            ("    check_interval: 1s\n", "", "processors.memory_limiter has no check_interval"),
            ("limit_mib: 160", "limit_mib: 0", "processors.memory_limiter has no limit"),
            ("num_consumers: 1", "num_consumers: 0", "num_consumers is 0; write a whole number from 1 on."),
            (
                f"max_size: {DEFAULT_SIZE.file_bytes}",
                "max_size: 1GiB",
                "max_size is '1GiB', which is no whole number; the collector does not start.",
            ),
            ("service:\n", "exporters: {}\nservice:\n", "exporters is there twice; keep one of them."),
            ("otlp_http", "otlp_http/", "exporters.otlp_http/ has no name behind the slash"),
            ("max_elapsed_time: 0s", "max_elapsed_time:", "retry_on_failure has no max_elapsed_time"),
            *(
                (QUEUE_SIZE, f"queue_size: {size}", "has no queue_size that is a whole number of bytes")
                for size in ("0", "-1", "300MiB", "")
            ),
            (
                "max_elapsed_time: 0s",
                "max_elapsed_time: 300s",
                "retry_on_failure.max_elapsed_time is 300s: the beginning of a longer outage is lost",
            ),
            (
                "      max_elapsed_time: 0s\n",
                "",
                "is thrown away after 5 minutes without the hub; write max_elapsed_time: 0s",
            ),
            (
                "    retry_on_failure:\n      enabled: true",
                "    retry_on_failure:\n      enabled: false",
                "what the hub does not take at once is lost",
            ),
            ("      storage: file_storage\n", "", "has no storage: what waits is in memory"),
            (
                "    sending_queue:\n      enabled: true",
                "    sending_queue:\n      enabled: false",
                "has no sending_queue",
            ),
            ("fsync: true", "fsync: false", "a power cut loses the backlog"),
            ("    fsync: true\n", "", "a power cut loses the backlog"),
            ("recreate: true", "recreate: false", "does not start with a damaged file"),
            (QUEUE_SIZE, f"queue_size: {DEFAULT_SIZE.file_bytes}", "the file is full before the queue"),
            (
                "rebound_needed_threshold_mib: 64",
                "rebound_needed_threshold_mib: 64000",
                "is 64000 MiB, more than max_size",
            ),
            (
                "        - memory_limiter\n        - resource",
                "        - resource\n        - memory_limiter",
                "memory_limiter is not the first processor of the pipeline metrics",
            ),
            ("        - memory_limiter\n        - resource", "        - resource", "has no memory_limiter"),
            (
                "endpoint: ${env:KFP_EDGE_HUB}",
                "endpoint: http://hub:4318",
                "exporters.otlp_http.endpoint is sent without TLS; write https://",
            ),
            (
                "      min_version:",
                "      insecure_skip_verify: true\n      min_version:",
                "lets anyone pose as the hub",
            ),
            (
                "    timeout: 30s\n",
                "    timeout: 30s\n    headers: {Authorization: Bearer s3cr3t}\n",
                "headers.Authorization is a secret in the file",
            ),
            (
                "    metrics:\n      receivers",
                "    metric:\n      receivers",
                "has no known signal; did you mean metrics?",
            ),
            (
                "    metrics:\n      receivers",
                "    traces:\n      receivers",
                "prometheus is in a pipeline for traces; it works for metrics",
            ),
            (
                "      exporters:\n        - otlp_http\n",
                "      exporters: []\n",
                "the pipeline metrics has no exporters",
            ),
            ("\nservice:", "\nexporter: {}\nservice:", "has the key exporter; did you mean exporters?"),
            ("  telemetry:\n", "  telemetri:\n", "service has the key telemetri; did you mean telemetry?"),
        ],
    )
    def test_an_error_names_its_line_and_what_to_do(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        findings = check(tmp_path, changed((old, new)))
        errors = [each for each in findings if each.severity == "error" and message in each.message]
        assert errors, findings
        assert errors[0].line > 0

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("    - health_check\n", "", "extensions.health_check is not in service.extensions"),
            ("        - resource\n", "", "processors.resource is in no pipeline"),
            ("num_consumers: 1", "num_consumers: 4", "has 4 consumers, which send out of order"),
            ("sizer: bytes", "sizer: requests", "does not count bytes"),
            (f"    max_size: {DEFAULT_SIZE.file_bytes}\n", "", "has no max_size: an outage fills the disk"),
            ("on_rebound: true", "on_rebound: false", "keeps the size of its file after an outage"),
        ],
    )
    def test_what_works_but_not_well_is_a_warning(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        (finding,) = check(tmp_path, changed((old, new)))
        assert finding.severity == "warning"
        assert message in finding.message

    def test_a_secret_is_not_repeated(self, tmp_path: Path) -> None:
        token = "  bearertokenauth: {token: hunter2}\n  health_check:"
        findings = check(tmp_path, changed(("  health_check:", token)))
        assert any("extensions.bearertokenauth.token is a secret in the file; name a file" in str(f) for f in findings)
        assert "hunter2" not in str(findings)

    def test_a_password_of_a_scrape_is_a_secret(self, tmp_path: Path) -> None:
        scraped = "        - job_name: kfp-edge\n          basic_auth: {username: a, password: hunter2}\n"
        (finding,) = check(tmp_path, changed(("        - job_name: kfp-edge\n", scraped)))
        assert (
            "basic_auth.password is a secret in the file; name a file in its place (password_file)" in finding.message
        )


class TestNeighboursThatAreRight:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("max_elapsed_time: 0s", "max_elapsed_time: 0"),
            ("max_elapsed_time: 0s", "max_elapsed_time: ${env:MAX_ELAPSED_TIME:-0s}"),
            ("  otlp_http:\n", "  otlphttp:\n"),
            ("endpoint: ${env:KFP_EDGE_HUB}", "endpoint: http://127.0.0.1:4318"),
            ("endpoint: ${env:KFP_EDGE_HUB}", "endpoint: https://hub.example:4318"),
            ("    timeout: 30s\n", "    timeout: 30s\n    headers: {X-Scope-OrgID: plant}\n"),
            ("    timeout: 30s\n", "    timeout: 30s\n    headers: {Authorization: '${file:/run/secrets/hub}'}\n"),
            ("fsync: true", "fsync: ${env:FSYNC}"),
            (QUEUE_SIZE, f"queue_size: {DEFAULT_SIZE.queue_bytes:_}"),
        ],
    )
    def test_pass(self, tmp_path: Path, old: str, new: str) -> None:
        text = changed((old, new))
        if "otlphttp" in new:
            text = text.replace("        - otlp_http", "        - otlphttp")
        assert check(tmp_path, text) == []

    def test_a_bearer_token_from_a_file(self, tmp_path: Path) -> None:
        text = changed(
            ("  health_check:", "  bearertokenauth: {filename: /run/secrets/token}\n  health_check:"),
            ("    - health_check", "    - health_check\n    - bearertokenauth"),
            ("    timeout: 30s\n", "    timeout: 30s\n    auth: {authenticator: bearertokenauth}\n"),
        )
        assert check(tmp_path, text) == []

    def test_anchors_and_merge_keys(self, tmp_path: Path) -> None:
        second = (
            "  otlp_http/second:\n    endpoint: https://second\n    retry_on_failure: {<<: *retry}\n"
            "    sending_queue: {storage: file_storage, sizer: bytes, queue_size: 9, num_consumers: 1}\n"
        )
        text = changed(
            ("    retry_on_failure:\n", "    retry_on_failure: &retry\n"),
            ("extensions:\n  health_check:", f"{second}extensions:\n  health_check:"),
            ("        - otlp_http\n", "        - otlp_http\n        - otlp_http/second\n"),
        )
        assert check(tmp_path, text) == []

    def test_traces_may_be_lost(self, tmp_path: Path) -> None:
        traces = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:4318"}}}}
exporters: {otlp_http/traces: {endpoint: "https://hub"}}
service: {pipelines: {traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp_http/traces]}}}
"""
        assert check(tmp_path, TEXT, traces) == []


class TestCommand:
    def test_it_prints_findings_and_exits_with_1(self, tmp_path: Path) -> None:
        (tmp_path / "collector.yaml").write_text(changed(("fsync: true", "fsync: false")))
        result = CliRunner().invoke(app, ["observe", "check-collector", str(tmp_path / "collector.yaml")])
        assert result.exit_code == 1
        assert result.output.startswith(f"error: {tmp_path}/collector.yaml, line ")
        assert result.output.endswith("1 error\n")

    def test_a_warning_passes_unless_strict(self, tmp_path: Path) -> None:
        (tmp_path / "collector.yaml").write_text(changed(("num_consumers: 1", "num_consumers: 2")))
        command = ["observe", "check-collector", str(tmp_path / "collector.yaml")]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert CliRunner().invoke(app, [*command, "--strict"]).exit_code == 1

    def test_a_file_that_is_no_yaml_is_named_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(GitError, match=r"collector-0.yaml, line 2, is not valid YAML"):
            check(tmp_path, "receivers:\n  otlp: [")

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=r"none.yaml cannot be read: No such file"):
            check_collector([tmp_path / "none.yaml"])

    def test_another_object_of_kubernetes_is_named_with_its_kind(self, tmp_path: Path) -> None:
        with pytest.raises(
            ParameterError, match=r"collector-0.yaml is a ConfigMap and no configuration of a collector"
        ):
            check(tmp_path, "apiVersion: v1\nkind: ConfigMap\ndata: {}\n")


def test_several_files_are_one_configuration(tmp_path: Path) -> None:
    endpoint = "exporters:\n  otlp_http:\n    endpoint: https://other.example\n"
    assert check(tmp_path, TEXT, endpoint) == []
    elapsed = "exporters:\n  otlp_http:\n    retry_on_failure:\n      max_elapsed_time: 5m\n"
    (finding,) = check(tmp_path, TEXT, elapsed)
    assert (Path(finding.file).name, finding.line) == ("collector-1.yaml", 4)
    no_limiter = "service:\n  pipelines:\n    metrics:\n      processors: [resource]\n"
    assert [each.line for each in check(tmp_path, TEXT, no_limiter) if each.severity == "error"] == [4]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("receivers: &all\n  otlp: *all\n", "is not valid YAML: an anchor is named in its own value"),
        ("receivers: " + "[" * 3000, "is not valid YAML: it is nested too deeply"),
    ],
)
def test_what_has_no_end_is_no_configuration(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(GitError, match=error):
        check(tmp_path, text)


def test_a_configuration_of_the_operator_before_v1beta1_is_refused(tmp_path: Path) -> None:
    text = (
        "apiVersion: opentelemetry.io/v1alpha1\nkind: OpenTelemetryCollector\nspec:\n  config: |\n    receivers: {}\n"
    )
    with pytest.raises(ParameterError, match="write it as a mapping, for v1beta1"):
        check(tmp_path, text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("${env:KFP_EDGE_HUB}", "HTTP://hub.example"), "is sent without TLS"),
        (
            ("    tls:\n      ca_file", "    tls:\n      insecure_skip_verify: True\n      ca_file"),
            "lets anyone pose as the hub",
        ),
    ],
)
def test_a_link_is_not_protected_whatever_the_case_of_the_letters(
    tmp_path: Path, changes: tuple[str, str], message: str
) -> None:
    (finding,) = check(tmp_path, changed(changes))
    assert message in finding.message


class TestValues:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "timeout: 30s",
                "timeout: 30",
                "exporters.otlp_http.timeout is 30, which the collector takes for nanoseconds; write the unit, such",
            ),
            ("initial_interval: 5s", "initial_interval: 5sec", "'5sec', which is no duration such as 30s"),
            ("limit_mib: 160", "limit_mib: 16O", "'16O', which is no whole number"),
            ("compression: gzip", "compression: gzp", "did you mean gzip? write one of gzip, zstd,"),
            ('min_version: "1.2"', 'min_version: "1.9"', "write one of 1.0, 1.1, 1.2, 1.3."),
            ("action: upsert", "action: upsrt", "did you mean upsert?"),
            ("level: info", "level: inf", "service.telemetry.logs.level is 'inf'"),
        ],
    )
    def test_that_the_collector_does_not_take_are_errors_with_what_to_write(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        text = changed((old, new))
        (finding, *_) = check(tmp_path, text)
        assert message in finding.message
        assert (finding.line, finding.severity) == (line_of(text, new), "error")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("scrape_interval:", "scrape_intervall:", "has the key scrape_intervall, with which the collector"),
            ("scrape_timeout: 10s", "scrape_timeout: 10", "scrape_timeout is '10', which is no duration such as 60s"),
            ("- targets:", "- target:", "static_configs has the key target, with which"),
            ("dns_sd_configs:", "dns_sd_config:", "did you mean dns_sd_configs? remove it."),
            ("target_label: site", "target_lable: site", "did you mean target_label?"),
            ("action: keep", "action: kep", "did you mean keep? write one of replace, keep, drop,"),
        ],
    )
    def test_of_scrapes_are_those_of_prometheus(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        findings = check(tmp_path, changed((old, new)))
        assert any(message in each.message for each in findings), findings

    def test_that_are_right_in_another_notation_pass(self, tmp_path: Path) -> None:
        text = changed(
            ("timeout: 30s", "timeout: 1m30s"),
            ("max_interval: 60s", "max_interval: ${env:LONGEST:-60s}"),
            ("scrape_interval: 60s", "scrape_interval: 1d"),
            ("level: info", "level: INFO"),
            ("action: keep", "action: Keep"),
        )
        assert check(tmp_path, text) == []
