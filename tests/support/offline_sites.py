"""A fleet with an offline site: the registry of its releases, the one of the site, and a git repository on each side.

Both registries are parts of one real registry.
"""

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.tree import Checkout
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.registry import copy_image
from kfp_edge.mirror.contracts import Inventory
from kfp_edge.mirror.export import Exported, export_archive
from kfp_edge.mirror.inventory import take_inventory
from kfp_edge.mirror.load import Loaded, load_archive
from support.fleets import site_with, write_files, write_fleet
from support.git_repositories import bare, git
from support.images import layered_image

SITE = "hall-7"


@dataclass(frozen=True)
class OfflineFleet:
    """A fleet with one site, which no network reaches."""

    folder: Path
    host: str
    team: str
    key: Ed25519PrivateKey
    lines: list[str] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        return self.folder / "fleet.git"

    @property
    def site_repository(self) -> Path:
        return self.folder / "site.git"

    @property
    def site_registry(self) -> str:
        return f"{self.host}/{self.team}-site"

    @property
    def remote(self) -> FleetRemote:
        return FleetRemote(GitRemote.parse(str(self.repository)), "main")

    @property
    def site_remote(self) -> GitRemote:
        return GitRemote.parse(str(self.site_repository))

    def source(self, model: str = "pump") -> ImageRepository:
        """The repository of the releases of a model."""
        return ImageRepository.parse(f"docker://{self.host}/{self.team}/{model}")

    def mirror(self, model: str = "pump") -> ImageRepository:
        """The repository of a model in the registry of the site."""
        return ImageRepository.parse(f"docker://{self.site_registry}/{self.team}/{model}")

    def release(self, *layers: bytes, model: str = "pump", ring: str = "canary") -> ImageRef:
        """Push an image of these layers, and commit its digest to a ring."""
        layout = self.folder / f"image-{uuid.uuid4().hex}"
        return self.commit(copy_image(layered_image(layout, list(layers), {}), self.source(model), layout.name), ring)

    def commit(self, image: ImageRef, ring: str = "canary") -> ImageRef:
        """Commit the digest of an image to a ring; the site runs all models."""
        tree = Checkout(self.clone)
        fleet = read_fleet(tree)
        write_files(self.clone, set_ring_image(tree, fleet, ring, image.name, image.repository, image.digest))
        models = sorted(path.name for path in self.clone.glob("rings/canary/*"))
        site = site_with(SITE, models=models, registry=self.site_registry)
        write_files(self.clone, render_site(site, {model: self.source(model).path for model in models}))
        self.push()
        return image

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    def push(self) -> str:
        """Commit what is in the clone and push it; return the commit."""
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", "change")
        git(self.clone, "push", "--quiet", "origin", "HEAD:main")
        return git(self.clone, "rev-parse", "HEAD")

    def export(self, name: str = "hall-7.tar", inventory: Inventory | None = None) -> Exported:
        return export_archive(self.remote, SITE, self.folder / name, self.key, self.lines.append, inventory=inventory)

    def inventory(self) -> Inventory:
        return take_inventory(self.site_remote, "main", SITE)

    def load(self, name: str = "hall-7.tar", site: str = SITE) -> Loaded:
        keys = [self.key.public_key()]
        return load_archive(self.folder / name, site, keys, self.site_remote, self.lines.append)

    def carry(self, name: str = "hall-7.tar") -> Loaded:
        """Take the inventory, export what is missing, and load it."""
        self.export(name, self.inventory())
        return self.load(name)

    def write_keys(self) -> tuple[Path, Path]:
        """Write the key and its public half into PEM files."""
        files = self.folder / "key.pem", self.folder / "key.pub"
        files[0].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files[1].write_bytes(self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return files


def create_offline_fleet(folder: Path, host: str) -> OfflineFleet:
    """Create a fleet that has no model yet, and an empty git repository at its site."""
    fleet = OfflineFleet(folder, host, f"team-{uuid.uuid4().hex[:8]}", Ed25519PrivateKey.generate())
    bare(fleet.repository)
    bare(fleet.site_repository)
    git(folder, "clone", "--quiet", str(fleet.repository), str(fleet.clone))
    write_fleet(fleet.clone, models=())
    fleet.push()
    return fleet
