"""`fleet check`: what it finds, in which file and line, and what it lets pass."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.fleet.contracts import Serving, Site
from kfp_edge.fleet.repository.new_repository import new_fleet
from support.fleets import DIGESTS, URL, findings, rendered, replace, site_with, write_files, write_fleet

SITE = "sites/hall-1/site.yaml"
RUNS = "sites/hall-1/kustomization.yaml"
RING = "rings/canary/pump/kustomization.yaml"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return write_fleet(tmp_path / "fleet", [site_with("hall-1"), site_with("hall-2", "all")])


def test_what_kfp_edge_writes_passes(fleet: Path) -> None:
    assert findings(fleet) == []


def test_a_site_with_everything_passes(tmp_path: Path) -> None:
    site = site_with(
        "hall-1",
        labels={"region": "south"},
        windows=[{"schedule": "0 22 * * *", "duration": "4h", "timeZone": "Europe/Berlin"}],
        registry="registry.hall-1.example:5000",
        pullSecret="site-registry",
    )
    sites = [site, site_with("hall-2", "all", delivery="podman", cluster=""), site_with("hall-3", delivery="site")]
    assert findings(write_fleet(tmp_path, sites)) == []


class TestAFileThatCannotBeRead:
    def test_one_broken_site_is_named_and_the_others_are_not(self, fleet: Path) -> None:
        write_files(fleet, {SITE: "name: [hall-1\nring: canary\n"})
        assert findings(fleet) == [f"error: {SITE}, line 2: is not valid YAML: did not find expected ',' or ']'."]

    @pytest.mark.parametrize(
        ("old", "new", "finding"),
        [
            ('ring: "canary"\n', "", "line 1: has no ring; add it."),
            ('ring: "canary"', "ringg: canary", "line 1: has no ring; add it."),
            (
                "models:",
                "model: pump\nmodels:",
                "line 8: has the key model, which is not known; did you mean models? Otherwise remove it.",
            ),
            ('name: "hall-1"', 'name: "hall-1"\nname: hall-2', "line 4: has name twice; keep one of them."),
            ('name: "hall-1"', "name: 7", "line 3: name is 7, which YAML reads as no text; put it into quotes."),
            ('name: "hall-1"', "name: Hall 1", "line 3: name is 'Hall 1'; it must be a DNS label"),
            ('ring: "canary"', "ring: &ring canary", "line 4: has an anchor or an alias; write the value where"),
            (
                "delivery: hub",
                "delivery: push",
                "line 5: delivery is 'push': input should be 'hub', 'site' or",
            ),
            ('cluster: "hall-1"\n', "", "line 1: has no cluster, which delivery: hub needs; add `cluster: hall-1`."),
            ("models:", "windows: [{schedule: nightly, duration: 4h}]\nmodels:", "line 8: windows[0].schedule is"),
            (
                "models:",
                "windows: [{schedule: 0 1 * * *, duration: 4}]\nmodels:",
                "line 8: windows[0].duration is 4;",
            ),
            ("models:", "registry: https://a.example\nmodels:", "registry is 'https://a.example'; it must be HOST"),
            ("models:", "labels: {region: so uth}\nmodels:", "it has region: 'so uth', which Kubernetes does not"),
            ("kind: Site", "kind: Fleet", "line 2: kind is 'Fleet': input should be 'Site'."),
        ],
    )
    def test_a_mistake_in_a_site_is_a_sentence_with_its_line(
        self, fleet: Path, old: str, new: str, finding: str
    ) -> None:
        replace(fleet, SITE, old, new)
        (found,) = [each for each in findings(fleet) if SITE in each]
        assert found.startswith(f"error: {SITE}")
        assert finding in found

    def test_an_empty_site_file_is_named(self, fleet: Path) -> None:
        write_files(fleet, {SITE: "# nothing\n"})
        assert f"error: {SITE}: is no mapping; it has to begin with `apiVersion` and `kind: Site`." in findings(fleet)

    def test_a_broken_fleet_is_the_only_finding(self, fleet: Path) -> None:
        replace(fleet, "fleet.yaml", "soakTime: 1d", "soakTime: one day")
        (found,) = findings(fleet)
        assert "rings[0].soakTime is 'one day'; it must be a duration such as 30m, 24h or 7d." in found

    def test_two_rings_of_one_name_are_found(self, fleet: Path) -> None:
        replace(fleet, "fleet.yaml", '- name: "all"', "- name: canary")
        (found,) = findings(fleet)
        assert "has 2 rings called canary; every ring needs a name of its own." in found

    def test_a_folder_without_a_fleet_is_told_how_to_start_one(self, tmp_path: Path) -> None:
        (found,) = findings(tmp_path)
        assert found == (
            f"error: fleet.yaml: is missing in {tmp_path}; name the checkout of the fleet's repository with "
            "--repository, or start one with `kfp-edge fleet init`."
        )

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        (found,) = findings(tmp_path / "edge-site")
        assert f"there is no folder {tmp_path / 'edge-site'}; name the checkout" in found

    def test_an_anchor_or_an_alias_is_found_and_the_asterisks_of_a_window_are_none(self, fleet: Path) -> None:
        window = 'windows:\n  - schedule: "*/5 1,2 * * *"\n    duration: 4h\n    timeZone: UTC\n'
        (fleet / SITE).write_text((fleet / SITE).read_text() + window)
        assert not [each for each in findings(fleet) if "anchor" in each or each.startswith(f"error: {SITE}")]
        replace(fleet, SITE, "timeZone: UTC", "timeZone: &zone UTC")
        assert f"error: {SITE}, line 13: has an anchor or an alias; write the value where it is needed." in findings(
            fleet
        )

    @pytest.mark.parametrize(
        "command",
        ["check", "render site-1", "diff", "status", "promote pump", "rollback pump --ring canary", f"init {URL}"],
    )
    def test_a_repository_of_the_time_before_rings_is_told_to_start_a_fleet_beside_it(
        self, tmp_path: Path, command: str
    ) -> None:
        write_files(tmp_path, {"sites/site-1/pump/kustomization.yaml": "kind: Kustomization\n"})
        result = CliRunner().invoke(app, ["fleet", *command.split(), "-C", str(tmp_path)])
        assert result.exit_code == 1
        said = result.output if command == "check" else str(result.exception)
        assert (
            "sites/site-1/pump/ is of the layout without rings; start a fleet in a new folder with `kfp-edge fleet "
            "init` and `kfp-edge fleet add-site` (docs/fleet-owner.md, From a repository without rings)."
        ) in said
        assert not (tmp_path / "fleet.yaml").exists()


class TestSites:
    def test_a_name_that_is_not_the_folder_is_found(self, fleet: Path) -> None:
        replace(fleet, SITE, 'name: "hall-1"', 'name: "hall-2"')
        assert f"error: {SITE}, line 3: name is hall-2, but the folder is hall-1; give both one name." in findings(
            fleet
        )

    def test_an_unknown_ring_is_found_with_what_was_probably_meant(self, fleet: Path) -> None:
        replace(fleet, SITE, 'ring: "canary"', "ring: canarry")
        assert (
            f"error: {SITE}, line 4: ring is canarry; did you mean canary? the rings of fleet.yaml are canary, all."
            in (findings(fleet))
        )

    def test_a_model_that_the_ring_does_not_have_is_found(self, fleet: Path) -> None:
        replace(fleet, SITE, '- "pump"', '- "pump"\n  - fan')
        (found,) = findings(fleet)
        assert "names the model fan, which the ring canary does not have" in found

    def test_a_site_file_that_argo_cd_would_read_as_another_site_is_found(self, fleet: Path) -> None:
        write_files(fleet, {"sites/hall-1/old/site.yaml": "a: 1\n"})
        (found,) = findings(fleet)
        assert found.startswith("error: sites/hall-1/old/site.yaml: is read by Argo CD as a site, too")

    def test_a_site_file_of_another_name_is_found(self, fleet: Path) -> None:
        (fleet / SITE).rename(fleet / "sites/hall-1/site.yml")
        assert "error: sites/hall-1/site.yml: is not read by Argo CD; rename it to site.yaml." in findings(fleet)

    def test_a_component_that_sites_share_is_no_site(self, fleet: Path) -> None:
        component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        write_files(fleet, {"sites/shared/kustomization.yaml": component, "sites/README.md": "our halls\n"})
        assert findings(fleet) == []

    def test_two_sites_that_would_overwrite_each_other_are_found(self, tmp_path: Path) -> None:
        sites = [site_with("hall-1", cluster="south"), site_with("hall-2", "all", cluster="south")]
        (found,) = findings(write_fleet(tmp_path, sites))
        assert "runs pump in the namespace edge-models of the cluster south, as the site hall-1 does" in found

    def test_two_sites_of_one_cluster_in_namespaces_of_their_own_pass(self, tmp_path: Path) -> None:
        sites = [site_with("hall-1", cluster="south"), site_with("hall-2", "all", cluster="south", namespace="hall-2")]
        assert findings(write_fleet(tmp_path, sites)) == []

    def test_a_ring_without_a_site_is_a_warning_with_its_line(self, tmp_path: Path) -> None:
        fleet = write_fleet(tmp_path, [site_with("hall-1")])
        line = (fleet / "fleet.yaml").read_text().splitlines().index('  - name: "all"') + 1
        (found,) = findings(fleet)
        assert found.startswith(f"warning: fleet.yaml, line {line}: the ring all has no site")

    def test_a_new_fleet_without_any_site_passes(self, tmp_path: Path) -> None:
        assert findings(write_fleet(tmp_path)) == []


class TestWhatASiteRuns:
    @pytest.mark.parametrize(
        ("old", "new", "finding"),
        [
            ("../../rings/canary/pump", "../../rings/all/pump", "has pump of the ring all, not of canary"),
            ('namespace: "edge-models"', "namespace: other", "has other as namespace, but site.yaml edge-models"),
            (
                "  - ../../rings/canary/pump",
                "  - own.yaml",
                "does not have the model pump of site.yaml; add ../../rings",
            ),
            ('kfp-edge.io/site: "hall-1"', "kfp-edge.io/site: hall-2", "does not label its objects with"),
            (
                "  - ../../rings/canary/pump",
                "  - ../../rings/canary/pump\n  - ../../rings/canary/fan",
                "has the model fan, which models in site.yaml does not name; add it there.",
            ),
        ],
    )
    def test_a_kustomization_that_does_not_fit_the_site_is_found(
        self, fleet: Path, old: str, new: str, finding: str
    ) -> None:
        replace(fleet, RUNS, old, new)
        (found,) = findings(fleet)
        assert found.startswith(f"error: {RUNS}, line ")
        assert finding in found

    @pytest.mark.parametrize("folder", ["../../regions/south", "https://git.example/extra?ref=1"])
    def test_a_folder_that_may_bring_the_model_is_not_complained_of(self, fleet: Path, folder: str) -> None:
        replace(fleet, RUNS, "../../rings/canary/pump", folder)
        assert findings(fleet) == []

    def test_the_label_may_be_a_common_one(self, fleet: Path) -> None:
        labels = 'labels:\n  - pairs:\n      kfp-edge.io/site: "hall-1"\n    includeTemplates: true\n'
        replace(fleet, RUNS, labels, "commonLabels: {kfp-edge.io/site: hall-1}\n")
        assert findings(fleet) == []

    def test_a_missing_namespace_is_found(self, fleet: Path) -> None:
        replace(fleet, RUNS, 'namespace: "edge-models"\n', "")
        assert findings(fleet) == [
            f"error: {RUNS}: has nothing as namespace, but site.yaml edge-models; write it here, too."
        ]

    def test_objects_and_patches_of_the_site_pass(self, fleet: Path) -> None:
        own = "  - ../../rings/canary/pump\n  - config.yaml\n  - https://git.example/extra"
        replace(fleet, RUNS, "  - ../../rings/canary/pump", own)
        patch = "patches:\n  - target: {kind: Deployment}\n    patch: '[{op: remove, path: /spec/replicas}]'\n"
        write_files(fleet, {RUNS: (fleet / RUNS).read_text() + patch})
        assert findings(fleet) == []

    def test_a_missing_kustomization_is_found(self, fleet: Path) -> None:
        (fleet / RUNS).unlink()
        assert f"error: {RUNS}: is missing; it says what the site runs." in findings(fleet)

    def test_a_digest_under_the_name_of_the_model_is_found_as_it_has_no_effect(self, fleet: Path) -> None:
        images = f"images:\n  - name: pump\n    digest: {DIGESTS[1]}\n"
        write_files(fleet, {RUNS: (fleet / RUNS).read_text() + images})
        container = rendered(fleet / "sites/hall-1")["Deployment"]["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"quay.io/team/pump@{DIGESTS[0]}"  # kustomize ignores it in silence
        (found,) = findings(fleet)
        assert "replaces the image pump, which has no effect: after the ring it is called quay.io/team/pump" in found

    def test_a_digest_that_overrides_the_ring_is_found_as_no_rollback_reaches_the_site(self, fleet: Path) -> None:
        images = f"images:\n  - name: quay.io/team/pump\n    digest: {DIGESTS[1]}\n"
        write_files(fleet, {RUNS: (fleet / RUNS).read_text() + images})
        container = rendered(fleet / "sites/hall-1")["Deployment"]["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"quay.io/team/pump@{DIGESTS[1]}"  # whatever the ring has
        (found,) = findings(fleet)
        assert "sets the digest of quay.io/team/pump at the site, so that no release of the ring and no roll" in found

    def test_the_sites_own_image_may_have_a_digest(self, fleet: Path) -> None:
        images = f"images:\n  - name: busybox\n    digest: {DIGESTS[1]}\n"
        write_files(fleet, {RUNS: (fleet / RUNS).read_text() + images})
        assert findings(fleet) == []


class TestARegistryAtTheSite:
    @pytest.fixture
    def fleet(self, tmp_path: Path) -> Path:
        site = site_with("hall-1", registry="registry.hall-1:5000/mirror", pullSecret="login")
        return write_fleet(tmp_path, [site, site_with("hall-2", "all")])

    def test_the_image_is_pulled_from_there_by_the_digest_of_the_ring_and_with_the_pull_secret(
        self, fleet: Path
    ) -> None:
        pod = rendered(fleet / "sites/hall-1")["Deployment"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == f"registry.hall-1:5000/mirror/team/pump@{DIGESTS[0]}"
        assert pod["imagePullSecrets"] == [{"name": "login"}]

    def test_a_ring_whose_registry_has_moved_is_found_as_the_mirror_is_not_used_any_more(self, fleet: Path) -> None:
        replace(fleet, RING, "quay.io/team/pump", "other.example/team/pump")
        (found,) = findings(fleet)
        assert "does not replace other.example/team/pump by the registry of site.yaml; add {name: other.exam" in found

    def test_another_registry_than_that_of_the_site_is_found(self, fleet: Path) -> None:
        replace(fleet, RUNS, "registry.hall-1:5000/mirror/team", "registry.hall-2:5000/team")
        (found,) = findings(fleet)
        assert "but site.yaml has the registry registry.hall-1:5000/mirror; let both name one registry." in found

    def test_a_missing_pull_secret_is_found(self, fleet: Path) -> None:
        replace(fleet, RUNS, 'name: "login"', 'name: "other"')
        (found,) = findings(fleet)
        assert "does not give pods the pull secret login of site.yaml" in found


class TestRings:
    @pytest.mark.parametrize(
        ("old", "new", "finding"),
        [
            (f'digest: "{DIGESTS[0]}"', 'newTag: "1.0"', "names the image pump without a digest"),
            (DIGESTS[0], "sha256:abc", "names the image pump without a digest"),
            ('    newName: "quay.io/team/pump"\n', "", "has no newName in its image pump; add its repository."),
            ('name: "pump"', "name: pumps", "has no entries named pump under images"),
            (
                "../../../models/pump/base",
                "../../../models/fan/base",
                "does not have the resource ../../../models/pu",
            ),
            ("images:", "images: &images", "has an anchor or an alias"),
        ],
    )
    def test_a_ring_that_names_no_image_by_digest_is_found(self, fleet: Path, old: str, new: str, finding: str) -> None:
        replace(fleet, RING, old, new)
        (found,) = [each for each in findings(fleet) if RING in each]
        assert finding in found

    def test_a_fleet_with_kserve_passes(self, tmp_path: Path) -> None:
        fleet = new_fleet("plant", URL, rings=("canary",)).model_copy(update={"serving": Serving.KSERVE})
        sites = [site_with("hall-1"), site_with("hall-2", registry="mirror:5000", pullSecret="login")]
        assert findings(write_fleet(tmp_path, sites, fleet=fleet)) == []

    def test_a_model_without_a_base_is_found(self, fleet: Path) -> None:
        (fleet / "models/pump/base/kustomization.yaml").unlink()
        assert any(
            "has the resource ../../../models/pump/base, which does not exist." in each for each in findings(fleet)
        )

    def test_a_folder_of_a_ring_that_does_not_exist_is_found(self, fleet: Path) -> None:
        (fleet / "rings/canary").rename(fleet / "rings/canray")
        found = findings(fleet)
        assert any(
            "rings/canray/pump/kustomization.yaml: is of a ring that fleet.yaml does not have" in each for each in found
        )


class TestASiteWithPodman:
    @pytest.fixture
    def site(self) -> Site:
        return site_with("hall-1", delivery="podman", cluster="")

    def test_its_model_has_a_port_and_no_probes_that_need_a_shell(self, tmp_path: Path, site: Site) -> None:
        folder = write_fleet(tmp_path, [site], rings=("canary",)) / "sites/hall-1"
        (container,) = rendered(folder)["Deployment"]["spec"]["template"]["spec"]["containers"]
        assert container["ports"][0]["hostPort"] == 8080
        assert not [key for key in container if key.endswith("Probe")]

    def test_windows_that_have_no_effect_there_are_a_warning(self, tmp_path: Path) -> None:
        windows = [{"schedule": "0 1 * * *", "duration": "1h"}]
        site = site_with("hall-1", delivery="podman", cluster="", windows=windows)
        (found,) = findings(write_fleet(tmp_path, [site], rings=("canary",)))
        assert found.startswith(
            "warning: sites/hall-1/site.yaml: has windows, which have no effect where Podman delivers"
        )

    def test_a_model_without_a_port_is_found(self, tmp_path: Path, site: Site) -> None:
        fleet = write_fleet(tmp_path, [site], rings=("canary",))
        replace(fleet, RUNS, 'name: "pump"', "name: fan")
        (found,) = findings(fleet)
        assert "has no patch with a hostPort for pump, without which Podman publishes no port" in found

    def test_an_inference_service_is_found(self, tmp_path: Path, site: Site) -> None:
        fleet = new_fleet("plant", URL, rings=("canary",)).model_copy(update={"serving": Serving.KSERVE})
        (found,) = findings(write_fleet(tmp_path, [site], fleet=fleet))
        assert "has the InferenceService pump, which Podman does not run; use a Deployment." in found


class TestTheCommand:
    def test_errors_end_with_exit_code_1_and_a_count(self, fleet: Path) -> None:
        write_files(fleet, {SITE: "a: [\n"})
        result = CliRunner().invoke(app, ["fleet", "check", "-C", str(fleet)])
        assert result.exit_code == 1
        assert result.output.splitlines()[-1] == "1 error"

    def test_warnings_do_so_with_strict_only(self, tmp_path: Path) -> None:
        fleet = str(write_fleet(tmp_path, [site_with("hall-1")]))
        assert CliRunner().invoke(app, ["fleet", "check", "-C", fleet]).exit_code == 0
        assert CliRunner().invoke(app, ["fleet", "check", "--strict", "-C", fleet]).exit_code == 1


class TestADisruptionBudget:
    @pytest.mark.parametrize(
        ("limit", "finding"),
        [
            (
                "1",
                "2 sites of region=south change with one release of the ring canary, and its disruption budget lets",
            ),
            ("25%", "and its disruption budget lets 1 (25% of 3) change at once; split the ring into 2 rings"),
            ("2", ""),
            ("70%", ""),
        ],
    )
    def test_limits_how_many_sites_of_a_group_a_ring_has(self, tmp_path: Path, limit: str, finding: str) -> None:
        places = [("canary", "south"), ("canary", "south"), ("canary", "north"), ("all", "south")]
        sites = [
            site_with(f"hall-{number}", ring, labels={"region": region}) for number, (ring, region) in enumerate(places)
        ]
        fleet = write_fleet(tmp_path, sites)
        budget = f'  - name: "canary"\n    disruptionBudget: {{groupBy: [region], maxChanging: {limit}}}\n'
        replace(fleet, "fleet.yaml", '  - name: "canary"\n', budget)
        messages = findings(fleet)
        assert [finding in message for message in messages] == ([True] if finding else [])
        line = (fleet / "fleet.yaml").read_text().splitlines().index(budget.splitlines()[1]) + 1
        assert all(message.startswith(f"error: fleet.yaml, line {line}: ") for message in messages)
