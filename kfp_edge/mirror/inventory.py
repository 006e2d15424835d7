"""What a site has: the blobs of its registry and the head of its branch."""

from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import open_repository
from kfp_edge.images.blobs import get_manifest, has_blob, list_tags
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.mirror.contracts import Inventory, parse_keep_tag
from kfp_edge.mirror.images import ImageParts, SiteState, collect_parts, image_path, read_state, require_registry


def take_inventory(remote: GitRemote, branch: str, site: str, *, registry: str = "") -> Inventory:
    """Return what a site has, of the images that its repository names and of those that imports have kept.

    Args:
        remote: The git repository of the site, which may be empty.
        branch: The branch that the site follows.
        site: The name of the site.
        registry: The registry of the site; by default what `site.yaml` says.

    Raises:
        GitError: the repository cannot be read.
        ImageError: the registry refuses, or cannot be reached.
        ParameterError: no registry is known.
    """
    with open_repository(remote) as repository:
        if not repository.branches():
            return Inventory(site=site, commit="", blobs={})
        state = read_state(repository, branch, site)
    host = require_registry(site, state.site.registry, registry)
    blobs = {path: _list_blobs(state, ImageRepository("docker", f"{host}/{path}"), path) for path in state.paths}
    return Inventory(
        site=site, commit=state.commit, blobs={path: digests for path, digests in blobs.items() if digests}
    )


def list_kept(session: RegistrySession) -> list[str]:
    """Return the digests that imports have tagged in a repository.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    return [digest for tag in list_tags(session) if (digest := parse_keep_tag(tag))]


def collect_present(session: RegistrySession, digest: str) -> ImageParts:
    """Return the parts of an image whose manifests a repository has.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    return collect_parts(digest, lambda each: get_manifest(session, each))


def _list_blobs(state: SiteState, repository: ImageRepository, path: str) -> tuple[str, ...]:
    named = [image.digest for image in (*state.current, *state.previous) if image_path(image) == path]
    with open_session(repository) as session:
        blobs: set[str] = set()
        for digest in dict.fromkeys([*list_kept(session), *named]):
            blobs |= set(collect_present(session, digest).blobs)
        # a manifest may have lost its blobs: what is not there has to travel again
        return tuple(digest for digest in sorted(blobs) if has_blob(session, digest))
