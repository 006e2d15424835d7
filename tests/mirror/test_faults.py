"""What goes wrong on the way: an interruption, a full disk, a registry that lost something, a repository that refuses.

Each is one sentence, nothing is half-written, and the same command goes on once the cause is gone.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.blobs import list_tags
from kfp_edge.images.registry import image_exists, read_manifest
from kfp_edge.images.registry_session import open_session
from kfp_edge.mirror.load import CommitState, load_archive
from support.git_repositories import git
from support.offline_sites import SITE, OfflineFleet
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry

LAYER = b"server" * 1000


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "main")


def heads(repository: Path) -> str:
    return git(repository, "for-each-ref", "refs/heads")


def mirrored_tags(fleet: OfflineFleet) -> list[str]:
    with open_session(fleet.mirror()) as session:
        return list_tags(session)


def command(fleet: OfflineFleet, archive: str, key: Path) -> list[str]:
    options = ["--git", str(fleet.site_repository), "--public-key", str(key)]
    return [f"{Path(sys.executable).parent}/kfp-edge", "mirror", "import", SITE, str(fleet.folder / archive), *options]


def import_archive(fleet: OfflineFleet, archive: str, key: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(fleet, archive, key), capture_output=True, text=True, check=False, timeout=120)


def is_download(method: str, path: str) -> bool:
    return method == "GET" and "/blobs/sha256" in path


def downloads(faulty: FaultyRegistry) -> list[str]:
    return list(dict.fromkeys(path for method, path in faulty.requests if is_download(method, path)))


def test_an_export_that_was_interrupted_goes_on_and_leaves_no_archive(
    faulty_fleet: OfflineFleet, faulty: FaultyRegistry
) -> None:
    faulty_fleet.release(LAYER, b"model")
    faulty.requests.clear()
    faulty_fleet.export("complete.tar")
    *_, last = downloads(faulty)
    faulty.fault = lambda method, path: 500 if is_download(method, path) and path == last else None
    with pytest.raises(KfpEdgeError, match=r"does not give the blob sha256:.*HTTP 500"):
        faulty_fleet.export()
    assert not (faulty_fleet.folder / "hall-7.tar").exists()
    faulty.fault = None
    faulty.requests.clear()
    faulty_fleet.export()
    assert downloads(faulty) == [last]
    assert not (faulty_fleet.folder / "hall-7.tar.partial").exists()


def test_an_import_that_was_killed_is_repeated(faulty_fleet: OfflineFleet, faulty: FaultyRegistry) -> None:
    image = faulty_fleet.release(LAYER, b"model")
    faulty_fleet.export()
    _, key = faulty_fleet.write_keys()
    with subprocess.Popen(command(faulty_fleet, "hall-7.tar", key), stderr=subprocess.DEVNULL) as importing:

        def kill_at_the_manifest(method: str, path: str) -> int | None:
            if (method, "/manifests/" in path) == ("PUT", True):
                os.kill(importing.pid, signal.SIGKILL)
                return 500
            return None

        faulty.fault = kill_at_the_manifest
        assert importing.wait(timeout=120) == -signal.SIGKILL
    faulty.fault = None
    assert (mirrored_tags(faulty_fleet), heads(faulty_fleet.site_repository)) == ([], "")
    loaded = faulty_fleet.load()
    assert (loaded.uploaded, loaded.commit) == (0, CommitState.PUSHED)
    assert image_exists(faulty_fleet.mirror().image(image.digest))


def test_a_registry_with_a_full_disk(faulty_fleet: OfflineFleet, faulty: FaultyRegistry) -> None:
    faulty_fleet.release(LAYER, b"model")
    faulty_fleet.export()
    faulty.fault = lambda method, path: 500 if method == "PUT" and "/blobs/" in path else None
    with pytest.raises(KfpEdgeError, match=r"does not take the blob sha256:\w+ \(HTTP 500\)"):
        faulty_fleet.load()
    assert heads(faulty_fleet.site_repository) == ""
    faulty.fault = None
    assert faulty_fleet.load().commit is CommitState.PUSHED


def test_a_registry_that_rewrites_manifests(faulty_fleet: OfflineFleet, faulty: FaultyRegistry) -> None:
    faulty_fleet.release(LAYER, b"model")
    faulty_fleet.export()
    faulty.fault = lambda method, path: 404 if method == "HEAD" and "/manifests/sha256" in path else None
    with pytest.raises(KfpEdgeError, match="another digest, so that no site would find it; use a registry that keeps"):
        faulty_fleet.load()
    assert heads(faulty_fleet.site_repository) == ""


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a disk that is full: a write then fails with an error of the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [900_000, 1_500_000], ids=["a layer", "the archive"])
def test_a_disk_that_is_too_small_for_an_export(fleet: OfflineFleet, size: int) -> None:
    fleet.release(os.urandom(1_000_000))
    fleet.export("complete.tar")
    (fleet.folder / "complete.tar").rename(fleet.folder / "hall-7.tar")
    before = (fleet.folder / "hall-7.tar").read_bytes()
    fleet.release(os.urandom(1_000_000))
    with largest_file(size), pytest.raises(KfpEdgeError, match=r"cannot write .*: File too large"):
        fleet.export()
    assert (fleet.folder / "hall-7.tar").read_bytes() == before
    assert sorted(path.name for path in fleet.folder.glob("*hall-7*")) == ["hall-7.tar", "hall-7.tar.partial"]
    fleet.export()
    assert fleet.load().commit is CommitState.PUSHED


def test_a_layer_that_the_registry_lost_after_the_inventory(fleet: OfflineFleet) -> None:
    """Nothing is loaded; the next inventory does not have the layer, so that the next archive brings it."""
    first = fleet.release(LAYER, b"model 1")
    fleet.carry("first.tar")
    before, tags = head(fleet.site_repository), mirrored_tags(fleet)
    inventory = fleet.inventory()
    second = fleet.release(LAYER, b"model 2")
    fleet.export("second.tar", inventory)
    lost = read_manifest(first)["layers"][0]["digest"]
    with open_session(fleet.mirror()) as session:
        session.request("DELETE", f"blobs/{lost}")
    with pytest.raises(KfpEdgeError) as refused:
        fleet.load("second.tar")
    assert str(refused.value) == (
        f"{fleet.mirror()} does not have {lost} any more, which is in the site's inventory and therefore not in the "
        "archive; nothing was loaded. Write the inventory anew, and export again with it."
    )
    assert (head(fleet.site_repository), mirrored_tags(fleet)) == (before, tags)
    fleet.carry("third.tar")
    assert head(fleet.site_repository) == head(fleet.repository)
    assert image_exists(fleet.mirror().image(second.digest))


def test_a_site_whose_repository_was_lost_after_the_inventory(fleet: OfflineFleet) -> None:
    fleet.release(LAYER, b"model 1")
    fleet.carry("first.tar")
    inventory = fleet.inventory()
    new = fleet.release(LAYER, b"model 2")
    fleet.export("second.tar", inventory)
    git(fleet.site_repository, "update-ref", "-d", "refs/heads/main")
    git(fleet.site_repository, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
    with pytest.raises(KfpEdgeError, match=r"does not have; write the inventory of the site anew"):
        fleet.load("second.tar")
    assert not image_exists(fleet.mirror().image(new.digest))
    fleet.carry("third.tar")
    assert head(fleet.site_repository) == head(fleet.repository)


def test_a_repository_that_refuses_the_commit_gets_it_once_it_lets_one(fleet: OfflineFleet) -> None:
    fleet.release(LAYER, b"model")
    fleet.export()
    hook = fleet.site_repository / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'this branch is locked' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(KfpEdgeError, match="this branch is locked"):
        fleet.load()
    hook.unlink()
    loaded = fleet.load()
    assert (loaded.uploaded, loaded.commit) == (0, CommitState.PUSHED)


def test_the_command_refuses_in_one_sentence(fleet: OfflineFleet, registry: RegistryServer) -> None:
    fleet.release(LAYER, b"model")
    fleet.export()
    _, key = fleet.write_keys()
    other = fleet.folder / "other.pub"
    subprocess.run(
        f"openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out {other}", shell=True, check=True, timeout=60
    )
    whole = (fleet.folder / "hall-7.tar").read_bytes()
    (fleet.folder / "short.tar").write_bytes(whole[: len(whole) // 2])
    cases = {
        ("hall-7.tar", other): "was not signed by the key that was given, or was altered afterwards; nothing was",
        ("short.tar", key): "was cut short: ",
        ("none.tar", key): "No such file or directory",
    }
    for (archive, public_key), reason in cases.items():
        done = import_archive(fleet, archive, public_key)
        assert (done.returncode, done.stdout) == (1, "")
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
    assert (mirrored_tags(fleet), heads(fleet.site_repository)) == ([], "")
    assert import_archive(fleet, "hall-7.tar", key).returncode == 0


def test_of_two_imports_at_once_the_older_archive_does_not_take_the_site_back(
    fleet: OfflineFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two machines, where the lock of one does not keep the other apart."""
    monkeypatch.setattr("kfp_edge.mirror.load.locked_site", lambda remote, report: nullcontext())
    fleet.release(LAYER, b"first")
    fleet.carry()
    fleet.release(LAYER, b"older")
    fleet.export("older.tar", fleet.inventory())
    fleet.release(LAYER, b"newer")
    fleet.export("newer.tar", fleet.inventory())
    reports = iter([lambda: fleet.load("newer.tar")])

    def report(line: str) -> None:
        if "blob" in line and (import_other := next(reports, None)):
            import_other()

    with pytest.raises(KfpEdgeError, match=r"in the meantime .* The images are loaded; import again\."):
        load_archive(fleet.folder / "older.tar", SITE, [fleet.key.public_key()], fleet.site_remote, report)
    assert head(fleet.site_repository) == head(fleet.repository)
    assert fleet.load("older.tar").commit is CommitState.OUTDATED
