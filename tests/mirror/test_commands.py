"""The commands, as the owner of a fleet and the operator of a site use them."""

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.registry import image_exists
from support import schemas
from support.fleets import rendered
from support.offline_sites import SITE, OfflineFleet


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["mirror", *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_there_and_back(fleet: OfflineFleet) -> None:
    image = fleet.release(b"model")
    key, public_key = fleet.write_keys()
    git = ["--git", str(fleet.site_repository)]
    inventory, archive = fleet.folder / "hall-7.json", fleet.folder / "hall-7.tar"
    assert "0 blobs, commit none" in run("inventory", SITE, *git, "-o", str(inventory))
    checkout = ["-C", str(fleet.clone), "--url", str(fleet.repository)]
    options = ["--key", str(key), "--inventory", str(inventory), "-o", str(archive)]
    assert image.digest in run("export", SITE, *checkout, *options)
    assert "main is now at" in run("import", SITE, str(archive), *git, "--public-key", str(public_key))
    assert image_exists(fleet.mirror().image(image.digest))
    assert "2 blobs" in run("inventory", SITE, *git, "-o", str(inventory))
    assert f"{fleet.mirror()} keeps 1, would remove 0" in run("prune", SITE, *git, "--dry-run")


def test_the_mirror_set_names_the_repositories_of_the_site(fleet: OfflineFleet) -> None:
    fleet.release(b"model")
    text = run("mirror-set", SITE, "-C", str(fleet.clone), "--url", str(fleet.repository))
    mirror_set = yaml.safe_load(text)
    schemas.check(mirror_set)
    (mirrors,) = mirror_set["spec"]["imageDigestMirrors"]
    assert mirrors == {
        "source": fleet.source().path,
        "mirrors": [fleet.mirror().path],
        "mirrorSourcePolicy": "NeverContactSource",
    }


def test_a_site_without_images_needs_no_mirror_set(fleet: OfflineFleet) -> None:
    fleet.release(b"model", ring="all")
    with pytest.raises(KfpEdgeError, match="hall-7 has no image yet; release a model to the ring canary first"):
        run("mirror-set", SITE, "-C", str(fleet.clone), "--url", str(fleet.repository))


def test_a_site_that_is_not_there_leaves_nothing(fleet: OfflineFleet) -> None:
    fleet.release(b"model")
    key, _ = fleet.write_keys()
    checkout = ["-C", str(fleet.clone), "--url", str(fleet.repository)]
    with pytest.raises(KfpEdgeError, match="did you mean hall-7"):
        run("export", "hal-7", *checkout, "--key", str(key), "-o", str(fleet.folder / "hal-7.tar"))
    assert list(fleet.folder.glob("hal-7.tar*")) == []


def test_a_site_without_a_model_is_a_warning_and_has_nothing_to_remove(fleet: OfflineFleet) -> None:
    fleet.release(b"model", ring="all")
    fleet.carry()
    assert "warning: hall-7 runs no model, so that the archive has no image." in fleet.lines
    git = ["--git", str(fleet.site_repository)]
    assert run("prune", SITE, *git) == "nothing to remove: the registry has no image of an import\n"


def test_a_site_runs_what_the_archive_brought(fleet: OfflineFleet) -> None:
    """kustomize makes the names under which the import has put the images."""
    image = fleet.release(b"model")
    fleet.carry()
    containers = rendered(fleet.clone / "sites" / SITE)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == str(fleet.mirror().image(image.digest)).removeprefix("docker://")


def test_a_site_without_a_registry_is_asked_for_one(fleet: OfflineFleet) -> None:
    fleet.release(b"model")
    site = fleet.clone / "sites" / SITE / "site.yaml"
    site.write_text("".join(line for line in site.read_text().splitlines(True) if not line.startswith("registry:")))
    fleet.push()
    fleet.export()
    with pytest.raises(KfpEdgeError, match="names no registry; name the site's own with --registry"):
        fleet.load()
