"""What a change does to the objects of a site, for the reviewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff

from kfp_edge.errors import CommandError, GitError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.rendering.render import render_site
from kfp_edge.gitops.changes import Files
from kfp_edge.gitops.layout import site_kustomization
from kfp_edge.gitops.tree import Edited, Tree


@dataclass(frozen=True)
class ManifestDiff:
    """What changes, in the format of diff; `title` says of what, `note` what is missing, in a sentence or empty."""

    title: str
    diff: str
    note: str = ""


def diff_manifests(tree: Tree, files: Files, sites: Sequence[Site]) -> ManifestDiff:
    """Return what changes in the objects of the first site; those of the others differ in the same way.

    Where they cannot be rendered, it is what changes in the files.

    Args:
        tree: The files that the sites follow.
        files: What a release changes.
        sites: The sites that the change reaches.
    """
    if not sites:
        return _diff_files(tree, files, "")
    name = sites[0].name
    try:
        after = render_site(Edited(tree, files), name)
    except (CommandError, GitError) as error:
        return _diff_files(tree, files, f"The objects of {name} are not shown: {error}")
    return ManifestDiff(f"Manifests of {name}", _unified(_render_before(tree, name), after))


def _render_before(tree: Tree, name: str) -> str:
    """Return the objects that a site has now: none where it is new, or has no model yet."""
    if tree.read(site_kustomization(name)) is None:
        return ""
    try:
        return render_site(tree, name)
    except GitError:  # kustomize refuses a site without a model
        return ""


def _diff_files(tree: Tree, files: Files, note: str) -> ManifestDiff:
    texts = (_unified(_decode(tree.read(path)), _decode(files[path]), path) for path in sorted(files))
    return ManifestDiff("Files", "".join(texts), note)


def _decode(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")


def _unified(before: str, after: str, name: str = "") -> str:
    names = (f"{name} now", f"{name} after the merge") if name else ("now", "after the merge")
    return "".join(unified_diff(before.splitlines(True), after.splitlines(True), *names, n=2))
