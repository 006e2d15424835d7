"""What an archive carries arrives at the site as it was, and only what the site lacks is carried."""

from pathlib import Path

import pytest
import requests

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import copy_image, find_digest, image_exists, read_manifest, skopeo_source
from kfp_edge.images.tools.skopeo import registry_flags, skopeo
from kfp_edge.mirror.contracts import keep_tag
from kfp_edge.mirror.export import export_archive
from kfp_edge.mirror.load import CommitState
from support.git_repositories import git, push_from_another_clone
from support.images import tiny_base
from support.offline_sites import SITE, OfflineFleet
from support.registry import PASSWORD, USER, RegistryServer

SERVER = b"the layers of the server " * 4000


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "main")


def test_images_arrive_with_their_digests_and_then_the_commit(fleet: OfflineFleet) -> None:
    image = fleet.release(SERVER, b"model 1")
    fleet.export()
    loaded = fleet.load()
    assert loaded.commit is CommitState.PUSHED
    assert read_manifest(fleet.mirror().image(image.digest)) == read_manifest(image)
    assert head(fleet.site_repository) == head(fleet.repository)


def test_the_image_before_travels_too_for_a_rollback(fleet: OfflineFleet) -> None:
    old = fleet.release(SERVER, b"model 1")
    new = fleet.release(SERVER, b"model 2")
    exported = fleet.export()
    fleet.load()
    assert [image.digest for image in exported.contents.images] == [new.digest, old.digest]
    assert image_exists(fleet.mirror().image(old.digest))


def test_with_an_inventory_only_the_new_layer_travels(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    new = fleet.release(SERVER, b"model 2")
    exported = fleet.export("second.tar", fleet.inventory())
    assert exported.left_out >= len(SERVER)
    assert exported.size < len(SERVER)
    assert fleet.load("second.tar").commit is CommitState.PUSHED
    assert image_exists(fleet.mirror().image(new.digest))


def test_the_commits_build_on_those_of_the_site(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    before = head(fleet.site_repository)
    fleet.release(SERVER, b"model 2")
    exported = fleet.export("second.tar", fleet.inventory())
    assert exported.contents.since == before
    fleet.load("second.tar")
    assert head(fleet.site_repository) == head(fleet.repository)


def test_the_server_of_one_model_is_not_carried_again_for_another(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    fan = fleet.release(SERVER, b"model of a fan", model="fan")
    exported = fleet.export("second.tar", fleet.inventory())
    assert exported.size < len(SERVER)
    loaded = fleet.load("second.tar")
    assert loaded.uploaded < len(SERVER)
    assert image_exists(fleet.mirror("fan").image(fan.digest))


def test_an_index_arrives_with_the_images_of_all_platforms(fleet: OfflineFleet, tmp_path: Path) -> None:
    source = tiny_base(tmp_path / "index", "amd64", "arm64/v8")
    index = fleet.commit(copy_image(source, fleet.source(), "1"))
    fleet.export()
    fleet.load()
    assert read_manifest(fleet.mirror().image(index.digest)) == read_manifest(index)
    for entry in read_manifest(index)["manifests"]:
        assert image_exists(fleet.mirror().image(entry["digest"]))


def test_an_image_in_the_format_of_docker_keeps_its_digest(fleet: OfflineFleet, tmp_path: Path) -> None:
    flags = registry_flags("dest-", fleet.host)
    with skopeo_source(tiny_base(tmp_path / "image")) as address:
        skopeo("copy", *flags, "--format", "v2s2", address, f"{fleet.source()}:docker", where="the registry")
    digest = find_digest(fleet.source(), "docker")
    assert digest is not None
    image = fleet.commit(fleet.source().image(digest))
    fleet.export()
    fleet.load()
    assert read_manifest(fleet.mirror().image(image.digest)) == read_manifest(image)


def test_garbage_collection_of_the_site_keeps_what_a_rollback_needs(
    fleet: OfflineFleet, registry: RegistryServer, tmp_path: Path
) -> None:
    old = fleet.commit(copy_image(tiny_base(tmp_path / "index", "amd64", "arm64"), fleet.source(), "1"))
    new = fleet.release(SERVER, b"model 2")
    fleet.carry()
    registry.collect_garbage()
    for digest in (old.digest, new.digest, *(entry["digest"] for entry in read_manifest(old)["manifests"])):
        assert image_exists(fleet.mirror().image(digest))


def test_the_tag_that_keeps_an_image_is_not_read_as_a_list_of_referrers(fleet: OfflineFleet) -> None:
    image = fleet.release(b"model")
    assert keep_tag(image.digest) == f"digest-{image.digest.removeprefix('sha256:')}"


def test_the_archive_is_a_layout_that_skopeo_finds_images_in(fleet: OfflineFleet, tmp_path: Path) -> None:
    image = fleet.release(SERVER, b"model 1")
    fleet.export()
    source = f"oci-archive:{fleet.folder / 'hall-7.tar'}:{keep_tag(image.digest)}"
    assert skopeo("inspect", "--format", "{{.Digest}}", source, where="the archive").strip() == image.digest


def test_nothing_travels_twice(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    exported = fleet.export("again.tar", fleet.inventory())
    loaded = fleet.load("again.tar")
    assert (loaded.commit, loaded.uploaded) == (CommitState.UNCHANGED, 0)
    assert "fleet.bundle" not in [member.name for member in exported.contents.members]


def test_an_older_archive_changes_nothing(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.export("old.tar")
    fleet.release(SERVER, b"model 2")
    fleet.carry("new.tar")
    assert fleet.load("old.tar").commit is CommitState.OUTDATED
    assert head(fleet.site_repository) == head(fleet.repository)


def test_a_commit_of_the_site_itself_is_not_overwritten(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    own = push_from_another_clone(fleet.site_repository, "main", {"note": "by hand"})
    fleet.release(SERVER, b"model 2")
    fleet.export("second.tar")
    with pytest.raises(KfpEdgeError, match=f"is at {own}, which the fleet's repository does not have"):
        fleet.load("second.tar")
    assert head(fleet.site_repository) == own


def test_an_image_that_no_rollback_finds_any_more_is_a_warning(fleet: OfflineFleet) -> None:
    lost = fleet.source().image("sha256:" + "0123456789abcdef" * 4)
    fleet.release(b"model 0")
    fleet.commit(lost)
    new = fleet.release(b"model 1")
    exported = fleet.export()
    assert [image.digest for image in exported.contents.images] == [new.digest]
    assert any(f"does not have {lost.digest} any more" in line for line in fleet.lines)


def test_an_image_that_the_site_should_run_has_to_be_there(fleet: OfflineFleet) -> None:
    fleet.commit(fleet.source().image("sha256:" + "0123456789abcdef" * 4))
    with pytest.raises(KfpEdgeError, match="there is no image sha256:0123"):
        fleet.export()
    assert not (fleet.folder / "hall-7.tar").exists()


def test_a_registry_that_lost_what_its_inventory_named_gets_nothing(fleet: OfflineFleet) -> None:
    fleet.release(SERVER, b"model 1")
    fleet.carry("first.tar")
    before = head(fleet.site_repository)
    new = fleet.release(b"a layer that never came", b"model 2")
    lost = tuple(layer["digest"] for layer in read_manifest(new)["layers"])
    inventory = fleet.inventory()
    claimed = {path: (*digests, lost[0]) for path, digests in inventory.blobs.items()}
    fleet.export("second.tar", inventory.model_copy(update={"blobs": claimed}))
    with pytest.raises(KfpEdgeError, match=f"does not have {lost[0]} any more, .* nothing was loaded"):
        fleet.load("second.tar")
    assert head(fleet.site_repository) == before


def test_a_new_site_has_an_empty_inventory(fleet: OfflineFleet) -> None:
    inventory = fleet.inventory()
    assert (inventory.site, inventory.commit, inventory.blobs) == (SITE, "", {})


def test_nothing_but_the_repositories_of_the_site_is_written(fleet: OfflineFleet, registry: RegistryServer) -> None:
    fleet.release(b"model")
    fleet.carry()
    host = f"https://{registry.host}/v2/_catalog?n=1000"
    names = requests.get(host, auth=(USER, PASSWORD), verify=str(registry.cert_dir / "ca.crt"), timeout=10).json()[
        "repositories"
    ]
    ours = [name for name in names if name.startswith(fleet.team)]
    assert set(ours) == {f"{fleet.team}-site/{fleet.team}/pump", f"{fleet.team}/pump"}


def test_images_can_be_taken_from_a_folder(fleet: OfflineFleet, tmp_path: Path) -> None:
    image = fleet.release(SERVER, b"model 1")
    copy_image(image, ImageRepository.parse(f"oci:{tmp_path}/releases/pump"), "1")
    exported = export_archive(
        fleet.remote, SITE, fleet.folder / "hall-7.tar", fleet.key, print, registry=f"oci:{tmp_path}/releases"
    )
    assert [each.digest for each in exported.contents.images] == [image.digest]
    fleet.load()
    assert image_exists(fleet.mirror().image(image.digest))
