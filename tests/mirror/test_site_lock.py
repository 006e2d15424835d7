"""An import and a prune of the same site wait for each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.git.remote import GitRemote
from kfp_edge.images.registry import image_exists
from kfp_edge.mirror.images import Report
from kfp_edge.mirror.load import load_archive
from kfp_edge.mirror.prune import prune_registry
from kfp_edge.mirror.site_lock import locked_site
from support.offline_sites import SITE, OfflineFleet


def run_import(fleet: OfflineFleet, report: Report) -> object:
    return load_archive(fleet.folder / "2.tar", SITE, [fleet.key.public_key()], fleet.site_remote, report)


def run_prune(fleet: OfflineFleet, report: Report) -> object:
    return prune_registry(fleet.site_remote, "main", SITE, report)


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [(run_import, [True, True, False], [True, True, True]), (run_prune, [True, True, True], [False, True, True])],
)
def test_one_waits_until_the_other_has_ended(
    fleet: OfflineFleet, command: Callable[[OfflineFleet, Report], object], before: list[bool], after: list[bool]
) -> None:
    """`before` and `after` say which of three releases are at the site; each has an archive."""
    images = []
    for number in range(3):
        images.append(fleet.release(b"server", b"model %d" % number).digest)
        fleet.export(f"{number}.tar", fleet.inventory())
        if before[number]:
            fleet.load(f"{number}.tar")

    def at_site() -> list[bool]:
        return [image_exists(fleet.mirror().image(digest)) for digest in images]

    is_waiting = Event()

    def report(line: str) -> None:
        if line.startswith("waiting for another import or prune of this site, which has locked "):
            is_waiting.set()

    with ThreadPoolExecutor() as pool:
        with locked_site(fleet.site_remote, print):
            running = pool.submit(command, fleet, report)
            assert is_waiting.wait(120)
            assert at_site() == before
        running.result()
    assert at_site() == after


def test_a_rehearsal_of_prune_waits_for_nobody(fleet: OfflineFleet) -> None:
    fleet.release(b"server", b"model")
    fleet.carry()
    with locked_site(fleet.site_remote, print):
        prune_registry(fleet.site_remote, "main", SITE, print, is_rehearsal=True)


def test_where_the_repository_is_on_a_server_the_lock_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EDGE_CACHE", str(tmp_path / "cache"))
    for number in (7, 7, 8):
        with locked_site(GitRemote(f"https://git.hall-{number}.example/sites.git"), print):
            pass
    assert len(list((tmp_path / "cache").rglob("*.lock"))) == 2


def test_a_lock_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "kfp-edge-mirror.lock").mkdir()
    with (
        pytest.raises(KfpEdgeError, match=r"cannot write \S+/kfp-edge-mirror.lock, which keeps imports .*: Is a dir"),
        locked_site(GitRemote(str(tmp_path)), print),
    ):
        pass
