"""Commit a release to the review branch of a ring."""

import re
from dataclasses import dataclass
from functools import partial

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.contracts import FIRST_RING, PullRequests, Serving
from kfp_edge.fleet.documents import FROM_EARLIER_LAYOUT, read_fleet
from kfp_edge.fleet.promotion.model_metrics import DATA_TRAILER
from kfp_edge.fleet.releases.branches import review_branch
from kfp_edge.fleet.releases.ring_images import is_mounted, select_ring, set_ring_image
from kfp_edge.fleet.repository.new_repository import new_fleet, new_site, render_repository
from kfp_edge.fleet.repository.project_files import render_project
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.fleet.sites.sites import find_sites
from kfp_edge.git.remote import GitRemote, check_branch
from kfp_edge.git.repository import GitRepository, open_repository
from kfp_edge.gitops.changes import Change, PlannedCommit, check_change, propose_in
from kfp_edge.gitops.layout import FLEET, find_earlier_layout, ring_kustomization
from kfp_edge.gitops.target import FileTarget
from kfp_edge.gitops.tree import Edited, Tree
from kfp_edge.images.model_format import ModelFormat

#: The site of a new repository.
FIRST_SITE = "site-1"
#: The name of a new fleet.
FLEET_NAME = "edge"

_LABEL_RULE = "a DNS label: lower-case letters, digits and -, at most 63"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE_NAME = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+")


@dataclass(frozen=True)
class Release:
    """A version of a model as an image by digest; `image_name` is `HOST[:PORT]/REPO`, without tag or digest.

    `summary` is what the reviewer should know about the model, in Markdown; `data_sha256` the hash of the data that it
    was trained on, empty if it is not known; `format` that of the image.
    """

    model: str
    version: str
    image_name: str
    digest: str
    summary: str = ""
    data_sha256: str = ""
    format: ModelFormat = ModelFormat.IMAGE

    def __post_init__(self) -> None:
        check_model(self.model, self.version)
        _validate("image name", self.image_name, _IMAGE_NAME, "HOST[:PORT]/REPO/NAME")
        _validate("image digest", self.digest, _DIGEST, "sha256: and 64 hex digits")

    def message(self, scope: str) -> str:
        """Return the commit message: a Conventional Commit with trailers."""
        summary = f"{self.summary}\n\n" if self.summary else ""
        data = f"{DATA_TRAILER}: {self.data_sha256}\n" if self.data_sha256 else ""
        return (
            f"feat({scope}): {self.model} {self.version} at {self.digest.removeprefix('sha256:')[:12]}\n\n{summary}"
            f"Image: {self.image_name}@{self.digest}\nModel-Version: {self.version}\n{data}"
        )


@dataclass(frozen=True)
class Destination:
    """Where a release is committed: the repository, the branch that the sites follow, and a ring or a file.

    An empty `ring` is the first one of the fleet. `target` is the place of the image in a repository of another layout,
    which has no rings. `pull_requests` says how a pull request is opened, in place of what `fleet.yaml` says.
    """

    remote: GitRemote
    branch: str
    ring: str = ""
    target: FileTarget | None = None
    pull_requests: PullRequests | None = None

    def __post_init__(self) -> None:
        check_destination(self.branch, self.ring, self.target)


def check_model(name: str, version: str) -> None:
    """Refuse a name or a version that cannot be committed.

    Raises:
        ParameterError: it cannot name a Kubernetes Service, a folder, or the review branch.
    """
    _validate("model_name", name, _SERVICE, f"{_LABEL_RULE}, with a letter first (it names a Service)")
    _validate("model_version", version, _VERSION, "letters, digits and . _ -, at most 63")
    check_branch(review_branch(name, version))


def check_destination(branch: str, ring: str, target: FileTarget | None = None) -> None:
    """Refuse a branch that git, and a ring that no repository can have.

    Raises:
        ParameterError: with what to write instead.
    """
    if ring:
        _validate("ring", ring, _LABEL, _LABEL_RULE)
    if ring and target is not None:
        raise ParameterError(
            "ring and gitops_target are both given, but such a file has no rings; leave one of them out."
        )
    check_branch(branch)


def commit_release(release: Release, destination: Destination) -> Change:
    """Commit a release to the review branch of a GitOps repository, at most once.

    An empty repository gets the files of a new fleet on the base branch first. A new model gets its files from the
    template; after that only the digest changes.

    Raises:
        GitError: the repository cannot be read, refuses the push, or the image in a file cannot be edited.
        ParameterError: there is no such ring, or an environment variable is not valid.
    """
    with open_repository(destination.remote) as repository:
        return commit_in(repository, release, destination)


def commit_in(repository: GitRepository, release: Release, destination: Destination) -> Change:
    """Commit a release as `commit_release` does, by a clone that is there already."""
    first_files = None if destination.target else _new_repository(destination, release.format)
    plan = partial(plan_release, release=release, destination=destination)
    return propose_in(repository, destination.branch, plan, first_files=first_files)


def check_target(
    destination: Destination, model: str = "", version: str = "", format: ModelFormat = ModelFormat.IMAGE
) -> None:
    """Check, without a change, that a release can be committed: access, the branch, the ring, the files to edit.

    Args:
        destination: Where to.
        model: The name of the model, if it is known.
        version: Its version.
        format: The format of its image.

    Raises:
        GitError: the repository cannot be read or pushed to, or a release cannot be committed to what is there.
        ParameterError: there is no such ring, or an environment variable is not valid.
    """
    image = ("kfp-edge.invalid/check", f"sha256:{'0' * 64}")
    release = Release(model or "kfp-edge-check", version or "0", *image, format=format)
    plan = partial(plan_release, release=release, destination=destination)
    check_change(destination.remote, destination.branch, plan, may_be_empty=destination.target is None)


def plan_release(tree: Tree, release: Release, destination: Destination) -> PlannedCommit:
    """Return what a release changes.

    Raises:
        GitError: it cannot be committed to what is there.
        ParameterError: there is no such ring.
    """
    if destination.target is not None:
        return _plan_target(tree, destination.target, release, destination)
    return _plan_ring(tree, release, destination)


def _plan_target(tree: Tree, target: FileTarget, release: Release, destination: Destination) -> PlannedCommit:
    data = tree.read(target.file)
    if data is None:
        raise GitError(
            f"{destination.remote.url} has no file {target.file} on {destination.branch}; name the file with the image "
            "in gitops_target."
        )
    try:
        text = target.edit(data.decode(), release.image_name, release.digest)
    except UnicodeDecodeError as error:
        raise GitError(f"{target.file} in {destination.remote.url} is not UTF-8 text.") from error
    branch = review_branch(release.model, release.version)
    return PlannedCommit(branch, release.message(release.model), {target.file: text.encode()})


def _plan_ring(tree: Tree, release: Release, destination: Destination) -> PlannedCommit:
    new_files = {} if tree.read(FLEET) is not None else _new_repository(destination, release.format)
    if new_files:
        _check_not_in_use(tree, release.model, destination)
        new_files = {path: data for path, data in new_files.items() if tree.read(path) is None}
    files = Edited(tree, new_files)
    fleet = read_fleet(files)
    ring = select_ring(fleet, destination.ring)
    changed = set_ring_image(files, fleet, ring, release.model, release.image_name, release.digest)
    if release.format == ModelFormat.MODELCAR and not is_mounted(Edited(files, changed), ring, release.model):
        raise GitError(
            f"{release.model} is a Deployment in {destination.remote.url}, which cannot run a modelcar; set `serving: "
            "kserve` in fleet.yaml if the model is new there, or deliver it with format=image."
        )
    is_first = ring == fleet.ring_names[0]
    branch = review_branch(release.model, release.version, "" if is_first else ring)
    is_new = tree.read(ring_kustomization(ring, release.model)) is None
    warnings = _warn_of_no_site(Edited(files, changed), ring, release.model) if is_new else ()
    return PlannedCommit(branch, release.message(ring), {**new_files, **changed}, warnings)


def _warn_of_no_site(tree: Tree, ring: str, model: str) -> tuple[str, ...]:
    """Return a sentence if the ring has a model that none of its sites runs."""
    if any(model in site.models for site in find_sites(tree, ring).sites):
        return ()
    return (
        f"no site of the ring {ring} runs {model}; after the merge, `kfp-edge fleet add-model {model} --ring {ring}` "
        "adds it to the sites in a checkout, to be committed.",
    )


def _new_repository(destination: Destination, format: ModelFormat) -> dict[str, bytes]:
    """Return the files of a new repository: a fleet of one ring with one site, with KServe for modelcars."""
    rings = (destination.ring or FIRST_RING,)
    serving = Serving.KSERVE if format == ModelFormat.MODELCAR else Serving.DEPLOYMENT
    fleet = new_fleet(FLEET_NAME, destination.remote.url, destination.branch, rings, serving)
    fleet = fleet.model_copy(update={"pull_requests": destination.pull_requests})
    site = new_site(FIRST_SITE, fleet.ring_names[0])
    return render_repository(fleet) | render_site(site, {}) | render_project(fleet, [site])


def _check_not_in_use(tree: Tree, model: str, destination: Destination) -> None:
    """Refuse a repository without a fleet that holds something else.

    Raises:
        GitError: it has the layout of earlier versions of kfp-edge, or one of its own.
    """
    files = [path for path in tree.list_files() if path.endswith((".yaml", ".yml"))]
    url = destination.remote.url
    if earlier := find_earlier_layout(files):
        raise GitError(
            f"{url} has no fleet.yaml, and {earlier} is of the layout without rings; {FROM_EARLIER_LAYOUT}, or set "
            f"gitops_target to {{file: {earlier}kustomization.yaml, image: {model}}} to go on as it is."
        )
    files = [path for path in files if not path.startswith(".")]
    if files:
        raise GitError(
            f"{url} has no fleet.yaml, but {files[0]}; create a fleet with `kfp-edge fleet init` in a checkout, or "
            "name the file with the image in gitops_target."
        )


def _validate(name: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise ParameterError(f"{name} {value!r} cannot be used; it must be {rule}.")
