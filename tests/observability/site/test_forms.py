"""The three forms of a site's collector: valid, restricted, of one configuration, with the sizes asked for."""

import configparser
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from yaml import safe_load

from kfp_edge.cli.app import app
from kfp_edge.errors import ParameterError
from kfp_edge.observability.site.collector.check import check_collector
from kfp_edge.observability.site.collector.components import COMPONENTS, Distribution, names_of
from kfp_edge.observability.site.forms import DEFAULT_SIZE, Form, SiteSettings, render_form
from kfp_edge.observability.site.queue_size import compute_queue_size
from support import schemas
from support.manifests import rendered
from support.paths import ROOT

SITE = ROOT / "deploy/observability/site"
FOLDERS = {Form.KUBERNETES: SITE, Form.OPERATOR: SITE / "operator", Form.PODMAN: SITE / "podman"}
OTHER = SiteSettings(
    "hall-7",
    "all",
    "https://hub.plant.example:4318/otlp",
    compute_queue_size(timedelta(hours=24), series=3000, targets=4, interval=timedelta(seconds=30)),
)


def objects(folder: Path) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in rendered(folder)}


def written(folder: Path, form: Form, settings: SiteSettings) -> Path:
    for path, data in render_form(form, settings).items():
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """The collector with its component for traces, as an overlay has it."""
    written(tmp_path, Form.KUBERNETES, SiteSettings())
    (tmp_path / "traces").mkdir()
    for path in (SITE / "traces").iterdir():
        (tmp_path / "traces" / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "kustomization.yaml").open("a") as stream:
        stream.write("components:\n  - traces\n")
    return tmp_path


class TestCommittedFiles:
    @pytest.mark.parametrize("form", Form)
    def test_are_those_that_render_writes(self, form: Form) -> None:
        for path, data in render_form(form, SiteSettings()).items():
            assert (FOLDERS[form] / path).read_text() == data.decode(), path

    @pytest.mark.parametrize("form", [Form.KUBERNETES, Form.OPERATOR])
    def test_are_valid_objects(self, form: Form) -> None:
        for each in rendered(FOLDERS[form]):
            schemas.check(each)

    def test_of_traces_are_valid_objects(self, overlay: Path) -> None:
        kinds = sorted(each["kind"] for each in rendered(overlay))
        for each in rendered(overlay):
            schemas.check(each)
        assert (kinds.count("NetworkPolicy"), kinds.count("Service")) == (2, 3)

    def test_have_the_components_of_the_distribution_and_no_others(self) -> None:
        manifest = safe_load((SITE / "ocb.yaml").read_text())
        modules = {
            section: sorted(each["gomod"].split()[0].rpartition("/")[2] for each in manifest.get(section, ()))
            for section in COMPONENTS
        }
        assert modules == {
            "receivers": ["otlpreceiver", "prometheusreceiver"],
            "processors": ["memorylimiterprocessor", "probabilisticsamplerprocessor", "resourceprocessor"],
            "exporters": ["otlphttpexporter"],
            "connectors": [],
            "extensions": ["bearertokenauthextension", "filestorage", "healthcheckextension"],
        }
        for section, names in modules.items():
            ours = sorted(name.replace("_", "") for name in names_of(section, Distribution.SITE))
            assert [name.removesuffix(section[:-1]) for name in names] == ours

    def test_have_modules_of_one_release(self) -> None:
        manifest = safe_load((SITE / "ocb.yaml").read_text())
        versions = {each["gomod"].split()[1] for key in manifest for each in manifest[key] if key not in ("dist",)}
        assert versions == {"v0.165.0", "v0.165.1", "v1.71.0"}  # core, contrib, and what of core is stable


class TestConfiguration:
    @pytest.mark.parametrize("form", Form)
    def test_passes_the_check(self, tmp_path: Path, form: Form) -> None:
        written(tmp_path, form, OTHER)
        file = "opentelemetrycollector.yaml" if form is Form.OPERATOR else "collector.yaml"
        assert check_collector([tmp_path / file]) == []

    def test_with_traces_passes_the_check(self) -> None:
        assert check_collector([SITE / "collector.yaml", SITE / "traces/traces.yaml"]) == []

    def test_is_the_same_with_the_operator(self, tmp_path: Path) -> None:
        resource = safe_load(
            written(tmp_path, Form.OPERATOR, OTHER).joinpath("opentelemetrycollector.yaml").read_text()
        )
        expected = safe_load(render_form(Form.KUBERNETES, OTHER)["collector.yaml"])
        assert resource["spec"]["config"] == expected

    def test_differs_with_podman_in_where_the_models_are_only(self) -> None:
        podman = safe_load(render_form(Form.PODMAN, OTHER)["collector.yaml"])
        expected = safe_load(render_form(Form.KUBERNETES, OTHER)["collector.yaml"])
        scrape = podman["receivers"]["prometheus"]["config"]["scrape_configs"][0]
        assert scrape.pop("file_sd_configs") == [{"files": ["/etc/otelcol/targets.yaml"]}]
        del expected["receivers"]["prometheus"]["config"]["scrape_configs"][0]["dns_sd_configs"]
        assert podman == expected

    @pytest.mark.parametrize("form", Form)
    def test_has_the_sizes_that_were_computed(self, tmp_path: Path, form: Form) -> None:
        written(tmp_path, form, OTHER)
        text = "".join(path.read_text() for path in tmp_path.iterdir())
        assert f"queue_size: {OTHER.size.queue_bytes}\n" in text
        assert f"max_size: {OTHER.size.file_bytes}\n" in text
        assert text.count("scrape_interval: 30s\n") == 2
        assert "https://hub.plant.example:4318/otlp" in text
        if form is not Form.PODMAN:
            assert f"storage: {OTHER.size.volume_bytes // 2**20}Mi\n" in text

    def test_labels_everything_with_site_and_ring(self) -> None:
        configuration = safe_load((SITE / "collector.yaml").read_text())
        for scrape in configuration["receivers"]["prometheus"]["config"]["scrape_configs"]:
            labels = {rule["target_label"]: rule["replacement"] for rule in scrape["relabel_configs"]}
            assert labels["site"].startswith("${env:KFP_EDGE_SITE}")
            assert labels["ring"].startswith("${env:KFP_EDGE_RING}")


class TestPlainDeployment:
    def test_meets_the_restricted_pod_security_standard(self) -> None:
        pod = objects(SITE)["Deployment"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_takes_site_and_ring_from_the_labels_of_its_pod(self) -> None:
        (container,) = objects(SITE)["Deployment"]["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each for each in container["env"]}
        for name in ("site", "ring"):
            reference = variables[f"KFP_EDGE_{name.upper()}"]["valueFrom"]["fieldRef"]["fieldPath"]
            assert reference == f"metadata.labels['kfp-edge.io/{name}']"

    def test_has_the_labels_of_the_site_that_it_was_rendered_for(self, tmp_path: Path) -> None:
        pod = objects(written(tmp_path, Form.KUBERNETES, OTHER))["Deployment"]["spec"]["template"]["metadata"]
        assert (pod["labels"]["kfp-edge.io/site"], pod["labels"]["kfp-edge.io/ring"]) == ("hall-7", "all")

    def test_limits_memory_above_what_the_limiter_allows(self) -> None:
        (container,) = objects(SITE)["Deployment"]["spec"]["template"]["spec"]["containers"]
        limiter = safe_load((SITE / "collector.yaml").read_text())["processors"]["memory_limiter"]
        soft = limiter["limit_mib"] - limiter["spike_limit_mib"]
        assert container["resources"]["limits"]["memory"] == "256Mi"
        assert soft < 128 < limiter["limit_mib"] < 256 - 50
        assert {"name": "GOMEMLIMIT", "value": "128MiB"} in container["env"]

    def test_never_has_two_processes_on_one_queue(self) -> None:
        deployment = objects(SITE)["Deployment"]["spec"]
        assert deployment["replicas"] == 1
        assert deployment["strategy"] == {"type": "Recreate"}

    def test_finds_each_pod_of_the_models_by_the_name_that_is_scraped(self) -> None:
        (service,) = (each for each in rendered(SITE) if each["metadata"]["name"] == "kfp-edge-inference")
        scrape = safe_load((SITE / "collector.yaml").read_text())["receivers"]["prometheus"]["config"][
            "scrape_configs"
        ][0]
        assert scrape["dns_sd_configs"][0]["names"] == [service["metadata"]["name"]]
        assert service["spec"]["clusterIP"] == "None"
        model = safe_load((ROOT / "deploy/gitops/deployment/models/__model__/base/kustomization.yaml").read_text())
        assert service["spec"]["selector"].items() <= model["labels"][0]["pairs"].items()

    def test_is_called_by_nobody_and_calls_names_models_and_hub(self) -> None:
        policy = objects(SITE)["NetworkPolicy"]["spec"]
        assert "ingress" not in policy
        ports = [{port["port"] for port in rule["ports"]} for rule in policy["egress"]]
        assert ports == [{53, 5353}, {8080, 8082}, {443, 4318}]

    def test_finds_the_sensor_feeds_by_the_name_of_their_port(self) -> None:
        (service,) = (each for each in rendered(SITE) if each["metadata"]["name"] == "kfp-edge-sensor-feed")
        configuration = safe_load((SITE / "collector.yaml").read_text())
        discovery = configuration["receivers"]["prometheus"]["config"]["scrape_configs"][0]["dns_sd_configs"][1]
        (port,) = service["spec"]["ports"]
        assert discovery["names"] == [f"_{port['name']}._tcp.{service['metadata']['name']}"]
        assert discovery["type"] == "SRV"
        sidecar = safe_load((ROOT / "deploy/sensor-feed/kubernetes/sidecar.yaml").read_text())[0]["value"]
        assert [each["name"] for each in sidecar["ports"]] == [port["targetPort"]]

    def test_with_traces_is_called_by_the_models_only(self, overlay: Path) -> None:
        policies = {
            each["metadata"]["name"]: each["spec"] for each in rendered(overlay) if each["kind"] == "NetworkPolicy"
        }
        (rule,) = policies["kfp-edge-collector"]["ingress"]
        assert rule["ports"] == [{"port": 4318, "protocol": "TCP"}]
        deployment = next(each for each in rendered(overlay) if each["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["--config=/etc/otelcol/collector.yaml", "--config=/etc/otelcol/traces.yaml"]


class TestOperator:
    def test_has_texts_as_variables_for_a_site_whose_name_is_a_number(self, tmp_path: Path) -> None:
        written(tmp_path, Form.OPERATOR, SiteSettings(site="007", ring="true"))
        variables = objects(tmp_path)["OpenTelemetryCollector"]["spec"]["env"]
        values = {each["name"]: each["value"] for each in variables}
        assert (values["KFP_EDGE_SITE"], values["KFP_EDGE_RING"]) == ("007", "true")


class TestQuadlet:
    def test_has_keys_that_podman_knows(self) -> None:
        known = {
            "Unit": {"Description", "Wants", "After"},
            "Container": {
                "Image", "ContainerName", "Exec", "EnvironmentFile", "Volume", "Network", "User", "Group", "ReadOnly",
                "NoNewPrivileges", "DropCapability", "PodmanArgs",
            },
            "Service": {"Restart", "RestartSec", "TimeoutStopSec"},
            "Install": {"WantedBy"},
            "Volume": {"VolumeName"},
        }  # fmt: skip
        for name in ("kfp-edge-collector.container", "kfp-edge-collector.volume"):
            unit = configparser.ConfigParser(strict=False, interpolation=None)
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string((SITE / "podman" / name).read_text())
            for section in unit.sections():
                assert set(unit[section]) <= known[section]

    def test_is_confined(self) -> None:
        text = (SITE / "podman/kfp-edge-collector.container").read_text()
        for line in ("User=10001", "ReadOnly=true", "NoNewPrivileges=true", "DropCapability=all"):
            assert f"\n{line}\n" in text

    def test_gets_site_ring_and_hub_as_variables(self) -> None:
        environment = render_form(Form.PODMAN, OTHER)["collector.env"].decode()
        assert (
            "KFP_EDGE_SITE=hall-7\nKFP_EDGE_RING=all\nKFP_EDGE_HUB=https://hub.plant.example:4318/otlp\n" in environment
        )


class TestComments:
    IMAGE = f"quay.io/plant/kfp-edge-collector@sha256:{'a' * 64}"

    @pytest.mark.parametrize("form", Form)
    def test_call_an_image_a_placeholder_only_where_it_is_one(self, form: Form) -> None:
        texts = [data.decode() for data in render_form(form, SiteSettings()).values()]
        assert any("is a placeholder" in text for text in texts)
        texts = [data.decode() for data in render_form(form, SiteSettings(image=self.IMAGE)).values()]
        assert not any("is a placeholder" in text for text in texts)

    @pytest.mark.parametrize("form", Form)
    def test_name_the_outage_and_the_series_that_the_queue_was_computed_for(self, form: Form) -> None:
        text = b"".join(render_form(form, OTHER).values()).decode()
        assert "computes it: 24 h of 3,000 series every 30 s.\n" in text


@pytest.mark.parametrize("name", ["007", "12", "1e3", "0x1f", "true", "null", "on"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_text(name: str) -> None:
    text = render_form(Form.OPERATOR, SiteSettings(site=name, ring=name))["opentelemetrycollector.yaml"].decode()
    assert text.count(f'value: "{name}"\n') == 2


class TestCommand:
    def test_warns_of_examples_in_the_files(self, tmp_path: Path) -> None:
        command = ["observe", "render", "--site", "hall-7", "--ring", "all", "--output", str(tmp_path)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert "warning: the files have examples in place of --hub, --image; give your own.\n" in result.output
        hub = ["--hub", "https://hub.plant.example", "--image", TestComments.IMAGE]
        result = CliRunner().invoke(app, [*command, *hub], catch_exceptions=False)
        assert "warning" not in result.output

    def test_writes_the_files_of_a_form(self, tmp_path: Path) -> None:
        command = ["observe", "render", "--form", "podman", "--site", "hall-7", "--output", str(tmp_path)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0
        assert f"wrote {tmp_path}/collector.env" in result.output
        assert "KFP_EDGE_SITE=hall-7\n" in (tmp_path / "collector.env").read_text()

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            (SiteSettings(site="Hall 7"), "the site is 'Hall 7'; it must be a DNS label"),
            (SiteSettings(ring="a\nb"), "the ring is"),
            (SiteSettings(hub="http://hub"), "write the https:// URL"),
            (SiteSettings(hub="https://hub.example:99999"), "write the https:// URL"),
            (SiteSettings(hub="https://hub..example"), "write the https:// URL"),
            (SiteSettings(hub="https://user:pw@hub"), "without a login"),
        ],
    )
    def test_refuses_settings_that_cannot_be_used(self, settings: SiteSettings, reason: str) -> None:
        with pytest.raises(ParameterError, match=reason):
            render_form(Form.KUBERNETES, settings)

    def test_refuses_an_unknown_form(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="choose one of kubernetes, operator, podman"):
            CliRunner().invoke(
                app, ["observe", "render", "--form", "kube", "--output", str(tmp_path)], catch_exceptions=False
            )


def test_the_default_holds_three_days() -> None:
    assert DEFAULT_SIZE.outage == timedelta(hours=72)
