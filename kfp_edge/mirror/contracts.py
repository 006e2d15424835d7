"""The contracts of the files that travel between a fleet and an offline site."""

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, StringConstraints, ValidationError

from kfp_edge.errors import StorageError
from kfp_edge.fleet.contracts import Contract
from kfp_edge.storage.files import canonical_json

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG_PREFIX = "digest-"

Digest = Annotated[str, StringConstraints(pattern=rf"^{_DIGEST.pattern}$")]
#: The hash of a commit.
CommitHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
#: The same, or empty where there is none.
OptionalCommitHash = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}([0-9a-f]{24})?)?$")]


class Document(Contract):
    """A mapping of JSON that our own code creates, too."""

    model_config = ConfigDict(populate_by_name=True)


class MirroredImage(Document):
    """An image that a site needs: one that it runs, or ran before."""

    model: str
    #: Its name below a registry, such as `team/press` of `quay.io/team/press`.
    path: str
    digest: Digest
    media_type: str


class Member(Document):
    """A file of an archive."""

    name: str
    size: int
    sha256: str


class ArchiveContents(Document):
    """`archive.json`: what is in an archive. Its signature covers everything, by the checksums of all other files."""

    api_version: Literal["kfp-edge.io/v1alpha1"] = "kfp-edge.io/v1alpha1"
    kind: Literal["MirrorArchive"] = "MirrorArchive"
    fleet: str
    site: str
    #: The registry at the site, empty where `site.yaml` names none.
    registry: str
    branch: str
    #: What the branch is at the site afterwards.
    commit: CommitHash
    #: The commit that the site has already; empty where the archive has the whole history.
    since: OptionalCommitHash
    images: tuple[MirroredImage, ...]
    #: Blobs that the site has, by the repository that has them there.
    left_out: dict[Digest, str]
    members: tuple[Member, ...]


class Inventory(Document):
    """What a site has, carried back to where archives are exported."""

    api_version: Literal["kfp-edge.io/v1alpha1"] = "kfp-edge.io/v1alpha1"
    kind: Literal["MirrorInventory"] = "MirrorInventory"
    site: str
    #: The head of the branch at the site; empty where its repository is.
    commit: OptionalCommitHash
    #: The digests of blobs by the repository that has them, without the registry's host.
    blobs: dict[str, tuple[Digest, ...]]


D = TypeVar("D", bound=Document)


def to_json(document: Document) -> bytes:
    """Return a document as it travels."""
    return canonical_json(document.model_dump(mode="json", by_alias=True))


def parse_json(model: type[D], data: bytes, file: Path | str) -> D:
    """Return a document that `to_json` wrote.

    Raises:
        StorageError: it is no such document.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"]) or "the file"
        raise StorageError(f"{file} is no {model.__name__}: {where}: {first['msg']}; copy it again.") from error


def read_inventory(file: Path, site: str) -> Inventory:
    """Return the inventory of a site.

    Raises:
        StorageError: the file cannot be read, or is of another site.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}.") from error
    inventory = parse_json(Inventory, data, file)
    if inventory.site != site:
        raise StorageError(f"{file} is the inventory of {inventory.site}, not of {site}; name the one of {site}.")
    return inventory


def keep_tag(digest: str) -> str:
    """Return the tag that keeps a manifest in the site's registry when garbage is collected.

    It is not `sha256-HEX`, which clients read as the list of what refers to an image ("Referrers Tag Schema").
    """
    return f"{_TAG_PREFIX}{digest.removeprefix('sha256:')}"


def parse_keep_tag(tag: str) -> str | None:
    """Return the digest that such a tag names, None for any other tag."""
    digest = f"sha256:{tag.removeprefix(_TAG_PREFIX)}"
    return digest if tag.startswith(_TAG_PREFIX) and _DIGEST.fullmatch(digest) else None
