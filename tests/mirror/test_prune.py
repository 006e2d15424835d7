"""Garbage collection at the site: what a rollback needs stays, whatever else goes."""

import shutil
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.registry import copy_image, image_exists, read_manifest
from kfp_edge.mirror.contracts import keep_tag
from kfp_edge.mirror.prune import PrunedRepository, prune_registry
from support.images import layered_image, tiny_base
from support.offline_sites import SITE, OfflineFleet
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry


def carry_release(fleet: OfflineFleet, number: int) -> str:
    image = fleet.release(b"server", b"model %d" % number)
    fleet.carry(f"{number}.tar")
    return image.digest


def prune(fleet: OfflineFleet, *, is_rehearsal: bool = False) -> list[PrunedRepository]:
    return prune_registry(fleet.site_remote, "main", SITE, print, is_rehearsal=is_rehearsal)


def removed(fleet: OfflineFleet) -> list[str]:
    return [digest for each in prune(fleet) for digest in each.removed]


def is_at_site(fleet: OfflineFleet, digest: str, model: str = "pump") -> bool:
    return image_exists(fleet.mirror(model).image(digest))


def test_what_runs_and_what_ran_before_stays(fleet: OfflineFleet) -> None:
    old, before, now = (carry_release(fleet, number) for number in range(3))
    (rehearsed,) = prune(fleet, is_rehearsal=True)
    assert is_at_site(fleet, old)
    (pruned,) = prune(fleet)
    assert rehearsed == pruned
    assert (pruned.removed, set(pruned.kept)) == ((old,), {before, now})
    assert [is_at_site(fleet, digest) for digest in (old, before, now)] == [False, True, True]
    assert removed(fleet) == []


def test_after_a_rollback_the_image_that_was_taken_back_goes_and_the_one_before_stays(fleet: OfflineFleet) -> None:
    before, now, failed = (carry_release(fleet, number) for number in range(3))
    fleet.commit(fleet.source().image(now))
    fleet.carry("rollback.tar")
    assert removed(fleet) == [failed]
    assert is_at_site(fleet, before)


def test_what_another_ring_runs_stays(fleet: OfflineFleet) -> None:
    old = fleet.release(b"server", b"model 0")
    fleet.commit(old, "all")
    fleet.carry("0.tar")
    for number in (1, 2):
        carry_release(fleet, number)
    assert removed(fleet) == []
    assert is_at_site(fleet, old.digest)


def test_the_images_of_a_model_that_was_removed_from_the_fleet_go(fleet: OfflineFleet) -> None:
    fan = fleet.release(b"fan", model="fan")
    carry_release(fleet, 0)
    assert is_at_site(fleet, fan.digest, "fan")
    shutil.rmtree(fleet.clone / "rings/canary/fan")
    carry_release(fleet, 1)
    assert removed(fleet) == [fan.digest]


def test_an_index_goes_before_its_images_and_stays_with_them(fleet: OfflineFleet, tmp_path: Path) -> None:
    indexes = []
    for number, architectures in enumerate([("amd64", "arm64"), ("amd64", "riscv64"), ("amd64", "ppc64le")]):
        source = tiny_base(tmp_path / f"index-{number}", *architectures)
        indexes.append(fleet.commit(copy_image(source, fleet.source(), str(number))))
        fleet.carry(f"{number}.tar")
    old, *kept = indexes
    of_old = [entry["digest"] for entry in read_manifest(old)["manifests"]]
    shared = {entry["digest"] for each in kept for entry in read_manifest(each)["manifests"]}
    assert removed(fleet) == [old.digest, *(digest for digest in of_old if digest not in shared)]
    assert all(is_at_site(fleet, digest) for digest in (*shared, *(each.digest for each in kept)))


def test_an_image_that_no_import_brought_stays(fleet: OfflineFleet, tmp_path: Path) -> None:
    own = copy_image(layered_image(tmp_path / "own", [b"own"], {}), fleet.mirror(), "of-the-site")
    for number in range(3):
        carry_release(fleet, number)
    assert len(removed(fleet)) == 1
    assert is_at_site(fleet, own.digest)


def test_then_the_registry_frees_the_space_and_a_rollback_still_works(
    fleet: OfflineFleet, registry: RegistryServer
) -> None:
    old, before, _ = (carry_release(fleet, number) for number in range(3))
    layers = [layer["digest"] for layer in read_manifest(fleet.mirror().image(old))["layers"]]
    prune(fleet)
    registry.collect_garbage()
    fleet.commit(fleet.source().image(before))
    exported = fleet.export("rollback.tar", fleet.inventory())
    assert not [member for member in exported.contents.members if member.name.removeprefix("blobs/") in layers]
    fleet.load("rollback.tar")
    assert is_at_site(fleet, before)


def test_an_image_that_was_pruned_and_is_needed_again_travels_again(fleet: OfflineFleet) -> None:
    old, *_ = [carry_release(fleet, number) for number in range(3)]
    prune(fleet)
    fleet.commit(fleet.source().image(old))
    fleet.carry("again.tar")
    assert is_at_site(fleet, old)
    assert keep_tag(old) == f"digest-{old.removeprefix('sha256:')}"


def test_a_registry_that_lets_nothing_be_deleted(faulty_fleet: OfflineFleet, faulty: FaultyRegistry) -> None:
    for number in range(3):
        carry_release(faulty_fleet, number)
    faulty.fault = lambda method, _: 405 if method == "DELETE" else None
    with pytest.raises(KfpEdgeError, match=r"does not let images be deleted; .*storage\.delete\.enabled"):
        prune(faulty_fleet)


def test_a_registry_that_fails_loses_nothing(faulty_fleet: OfflineFleet, faulty: FaultyRegistry) -> None:
    """A manifest that cannot be read at the moment must not count as one that nothing needs."""
    carried = [carry_release(faulty_fleet, number) for number in range(3)]
    faulty.fault = lambda method, path: 503 if method == "GET" and "/manifests/" in path else None
    with pytest.raises(KfpEdgeError, match="does not give the manifest"):
        prune(faulty_fleet)
    faulty.fault = None
    assert all(is_at_site(faulty_fleet, digest) for digest in carried)
