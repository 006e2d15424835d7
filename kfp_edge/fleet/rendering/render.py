"""What a site gets: its kustomization, rendered by the real kustomize."""

import re
import tempfile
from pathlib import Path, PurePosixPath

from kfp_edge.errors import CommandError, GitError
from kfp_edge.fleet.documents import DocumentError, read_fleet
from kfp_edge.gitops.layout import SITE, SITES, site_kustomization
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.runtime.process import find_program, run
from kfp_edge.storage.files import write_file
from kfp_edge.suggestions import did_you_mean

# What kubectl, and kustomize in it, put before the reason of a failure.
_KUBECTL = re.compile(r"^error: |^E\d{4} \S+ \d+ \S+\] \"command failed\" err=|^Error: ")
#: Seconds that kustomize may take.
_TIMEOUT = 120


def render_site(repository: Path | Tree, site: str) -> str:
    """Return the objects of a site as YAML.

    Args:
        repository: The folder of a checkout, or the files of a commit.
        site: The name of the site.

    Raises:
        GitError: there is no such site, or kustomize refuses; the message has its reason.
        CommandError: there is no kustomize and no kubectl.
    """
    tree = Checkout(repository) if isinstance(repository, Path) else repository
    if tree.read(site_kustomization(site)) is None:
        read_fleet(tree)  # in another folder, this is what is missing
        known = {PurePosixPath(path).parts[1] for path in tree.list_files(SITES)}
        if site in known:
            raise DocumentError(site_kustomization(site), 0, "is missing; it says what the site runs.")
        raise GitError(f"there is no site {site}; {did_you_mean(site, known)}name a folder of {SITES}/.")
    if isinstance(tree, Checkout):
        return build(tree.folder / SITES / site)
    with tempfile.TemporaryDirectory(prefix="kfp-edge-render-") as folder:
        for path, data in tree.read_all(_files_of(tree, site)).items():
            write_file(Path(folder) / path, data)
        return build(Path(folder) / SITES / site)


def _files_of(tree: Tree, site: str) -> list[str]:
    """Return the files that a site may use: all but those of the other sites, of which there may be thousands."""
    paths = tree.list_files()
    others = {path.removesuffix(f"/{SITE}") for path in paths if path.endswith(f"/{SITE}")} - {f"{SITES}/{site}"}
    return [path for path in paths if "/".join(path.split("/")[:2]) not in others]


def build(folder: Path) -> str:
    """Return what kustomize makes of a folder.

    Raises:
        GitError: kustomize refuses; the message has its reason.
        CommandError: there is no kustomize and no kubectl.
    """
    try:
        return run([*_find_kustomize(), folder], timeout=_TIMEOUT)
    except CommandError as error:
        if not error.output:
            raise
        reason = _KUBECTL.sub("", " ".join(error.output.split())).replace(f"{folder.parents[1]}/", "")
        raise GitError(f"kustomize cannot render {folder.parent.name}/{folder.name}: {reason}") from error


def _find_kustomize() -> list[str]:
    if kustomize := find_program("kustomize"):
        return [kustomize, "build"]
    if kubectl := find_program("kubectl"):
        return [kubectl, "kustomize"]
    raise CommandError("neither kustomize nor kubectl is installed; install one of them to render a site.", "")
