"""What is refused at the site: each in one sentence, before anything is loaded."""

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kfp_edge.errors import KfpEdgeError
from kfp_edge.mirror.archive import describe_members, open_archive, write_archive
from kfp_edge.mirror.contracts import ArchiveContents, Inventory, parse_keep_tag, read_inventory, to_json
from kfp_edge.mirror.signatures import read_private_key, read_public_key
from kfp_edge.storage.files import sha256_bytes

KEY = Ed25519PrivateKey.generate()
BLOB = b"a layer " * 1000
NAME = f"blobs/sha256/{sha256_bytes(BLOB)}"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of one blob for hall-7."""
    return write(tmp_path / "hall-7.tar", {"oci-layout": b"{}", NAME: BLOB})


def write(file: Path, files: dict[str, Path | bytes]) -> Path:
    contents = ArchiveContents(
        fleet="plant",
        site="hall-7",
        registry="",
        branch="main",
        commit="1" * 40,
        since="",
        images=(),
        left_out={},
        members=describe_members(files),
    )
    write_archive(file, contents, files, KEY)
    return file


def rewrite(file: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]) -> None:
    """Write an archive again with its members changed, as somebody without the key could."""
    with tarfile.open(file) as old:
        members = [(info, old.extractfile(info).read()) for info in old]  # type: ignore[union-attr]
    with tarfile.open(file, "w") as new:
        for info, data in members:
            changed, content = change(info, data)
            changed.size = len(content)
            new.addfile(changed, io.BytesIO(content))


def refusal(file: Path, site: str = "hall-7") -> str:
    with pytest.raises(KfpEdgeError) as caught, open_archive(file, site, [KEY.public_key()]):
        pass
    message = str(caught.value)
    assert str(file) in message
    return message


def test_a_signed_archive_is_read(archive: Path) -> None:
    with open_archive(archive, "hall-7", [Ed25519PrivateKey.generate().public_key(), KEY.public_key()]) as opened:
        assert opened.read(NAME) == BLOB
        assert "fleet.bundle" not in opened


def test_an_archive_of_another_site(archive: Path) -> None:
    message = refusal(archive, "hall-8")
    assert "is for the site hall-7, not for hall-8; nothing was loaded" in message


def test_an_archive_of_another_key(archive: Path) -> None:
    with (
        pytest.raises(KfpEdgeError, match="was not signed by the key that was given"),
        open_archive(archive, "hall-7", [Ed25519PrivateKey.generate().public_key()]),
    ):
        pass


def test_an_archive_whose_list_was_altered(archive: Path) -> None:
    rewrite(archive, lambda info, data: (info, data.replace(b'"plant"', b'"plans"')))
    assert "or was altered afterwards" in refusal(archive)


def test_an_archive_with_an_altered_layer(archive: Path) -> None:
    rewrite(archive, lambda info, data: (info, data.replace(b"a layer", b"A layer")))
    assert f"was altered or damaged: {NAME} is not what was signed" in refusal(archive)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.55])
def test_an_archive_that_was_cut_short(archive: Path, share: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    assert re.search(r"was cut short|is no archive", refusal(archive))


def test_an_archive_with_one_altered_byte_is_refused_or_read_as_it_was_signed(archive: Path) -> None:
    """Some bytes of a tar say nothing, such as the time of a member: whatever is read is what was signed."""
    whole = archive.read_bytes()
    refusals = []
    for position in range(0, len(whole), 97):
        archive.write_bytes(whole[:position] + bytes([whole[position] ^ 0x11]) + whole[position + 1 :])
        try:
            with open_archive(archive, "hall-7", [KEY.public_key()]) as opened:
                assert opened.read(NAME) == BLOB
        except KfpEdgeError as error:
            refusals.append(str(error))
    assert len(refusals) > len(whole) / 97 / 3
    assert [message for message in refusals if "nothing was loaded" not in message] == []


def test_a_medium_that_cannot_be_read_to_its_end(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("kfp_edge.mirror.archive._checksum", fail)
    assert "cannot be read: Input/output error; nothing was loaded. Copy it again." in refusal(archive)


def test_an_archive_without_one_of_its_members(archive: Path) -> None:
    with tarfile.open(archive) as old:
        members = [(info, old.extractfile(info).read()) for info in old if info.name != NAME]  # type: ignore[union-attr]
    with tarfile.open(archive, "w") as new:
        for info, data in members:
            new.addfile(info, io.BytesIO(data))
    assert f"was cut short: {NAME} is not there" in refusal(archive)


@pytest.mark.parametrize("data", [b"", b"not a tar", bytes(range(256)) * 8], ids=["empty", "text", "bytes"])
def test_a_file_that_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert "is no archive of `kfp-edge mirror export`" in refusal(tmp_path / "file")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "file")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "blobs/sha256/../../outside", "blobs/sha256/ab"])
def test_a_member_that_would_leave_the_archive(archive: Path, name: str) -> None:
    with tarfile.open(archive, "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"text"))
    assert f"has a member {name!r} that was not signed" in refusal(archive)


def test_a_link_in_place_of_a_layer(archive: Path) -> None:
    def link(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name != NAME:
            return info, data
        info.type, info.linkname = tarfile.SYMTYPE, "oci-layout"
        return info, b""

    rewrite(archive, link)
    assert f"has a member {NAME!r} that was not signed" in refusal(archive)


def test_a_name_that_is_signed_and_leaves_the_archive(tmp_path: Path) -> None:
    """Not even who has the key can write outside."""
    file = write(tmp_path / "hall-7.tar", {"../outside": b"text"})
    assert "lists a file '../outside', which no archive has" in refusal(file)


def test_the_key_is_not_in_the_archive(archive: Path) -> None:
    assert KEY.private_bytes_raw() not in archive.read_bytes()


def test_a_full_disk_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(KfpEdgeError, match="No space left on device; no incomplete file is left; free some space"):
        write(tmp_path / "new" / "hall-7.tar", {"oci-layout": b"{}"})
    assert list((tmp_path / "new").iterdir()) == []


def test_an_inventory_of_another_site(tmp_path: Path) -> None:
    file = tmp_path / "inventory.json"
    file.write_bytes(to_json(Inventory(site="hall-8", commit="", blobs={})))
    with pytest.raises(KfpEdgeError, match="is the inventory of hall-8, not of hall-7"):
        read_inventory(file, "hall-7")
    assert read_inventory(file, "hall-8").site == "hall-8"


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"kind": "MirrorArchive"})])
def test_a_file_that_is_no_inventory(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(KfpEdgeError, match="is no Inventory"):
        read_inventory(tmp_path / "file", "hall-7")


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    file = tmp_path / "key.pem"
    file.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(KfpEdgeError, match="is not of the kind Ed25519; make one with `openssl genpkey"):
        read_private_key(file)
    file.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    with pytest.raises(KfpEdgeError, match="has a password.* `openssl pkey -in key.pem -out NEW_FILE`"):
        read_private_key(file)
    with pytest.raises(KfpEdgeError, match="is a private key, which stays where archives are exported") as caught:
        read_public_key(file)
    # a command that would write the public half over the key itself
    assert "-in key.pem -pubout -out key.pem.pub`" in str(caught.value)
    file.write_text("no key")
    for read in (read_private_key, read_public_key):
        with pytest.raises(KfpEdgeError, match="as a PEM file; ") as caught:
            read(file)
        # a command that would write a key over the file
        assert "-out key.pem" not in str(caught.value)
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KfpEdgeError, match="is a public key, by which sites verify an archive; sign with the private"):
        read_private_key(file)


@pytest.mark.parametrize("tag", ["1.4.0", "digest-ab", f"sha256-{'a' * 64}"])
def test_other_tags_are_left_alone(tag: str) -> None:
    assert parse_keep_tag(tag) is None
