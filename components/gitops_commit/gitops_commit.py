"""The work of `gitops_commit`: a release becomes one commit on a review branch.

Where the digest of a site stands is decided in `Target.overlay` alone; rings come between model and site there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.components.gitops_commit.kustomization import set_image
from kfp_edge.errors import KfpEdgeError
from kfp_edge.git.repository import GitRemote, GitRepository, PushedMeanwhileError, check_branch, open_repository

#: How often a commit is made again because somebody else pushed meanwhile.
ATTEMPTS = 5
#: Lines of the diff that the report shows.
SHOWN_LINES = 200

_TEMPLATE = Path(__file__).parent / "template"
_README = "README.md"
_LABEL_RULE = "a DNS label: lower-case letters, digits and -, at most 63"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE_NAME = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+")


@dataclass(frozen=True)
class Release:
    """A model's version as an image by digest; `image_name` is `HOST[:PORT]/REPO` without tag or digest."""

    model: str
    version: str
    image_name: str
    digest: str

    def __post_init__(self) -> None:
        _check("model_name", self.model, _SERVICE, f"{_LABEL_RULE}, with a letter first (it names a Service)")
        _check("model_version", self.version, _VERSION, "letters, digits and . _ -, at most 63")
        _check("image name", self.image_name, _IMAGE_NAME, "HOST[:PORT]/REPO/NAME")
        _check("image digest", self.digest, _DIGEST, "sha256: and 64 hex digits")
        check_branch(self.branch)

    @property
    def branch(self) -> str:
        """The review branch."""
        return f"kfp-edge/{self.model}/{self.version}"

    def message(self, site: str) -> str:
        """Return the commit's message: a Conventional Commit with trailers."""
        return (
            f"feat({site}): {self.model} {self.version} at {self.digest.removeprefix('sha256:')[:12]}\n\n"
            f"Image: {self.image_name}@{self.digest}\nModel-Version: {self.version}\n"
        )


@dataclass(frozen=True)
class Target:
    """Where a release goes: a site, as the branch `branch` of a GitOps repository describes it."""

    remote: GitRemote
    branch: str
    site: str
    namespace: str

    def __post_init__(self) -> None:
        _check("site", self.site, _LABEL, _LABEL_RULE)
        _check("namespace", self.namespace, _LABEL, _LABEL_RULE)
        check_branch(self.branch)

    def overlay(self, model: str) -> str:
        """Return the path of the kustomization that holds the digest of a model."""
        return f"sites/{self.site}/{model}/kustomization.yaml"


@dataclass(frozen=True)
class Change:
    """Where the digest stands now; `diff` is empty when the base branch has it already."""

    repository: str
    branch: str
    commit: str
    diff: str
    #: False when there was nothing to commit.
    committed: bool


def commit_release(release: Release, target: Target) -> Change:
    """Bring a release to the review branch of a GitOps repository, at most once.

    An empty repository gets its README on the base branch first. A model or a site that the repository
    does not know gets its files from the template; after that only the digest changes.

    Raises:
        KfpEdgeError: the repository cannot be read, refuses the push, or its files are not as they should be.
    """
    with open_repository(target.remote) as repository:
        for _ in range(ATTEMPTS):
            try:
                return _attempt(repository, release, target)
            except PushedMeanwhileError as error:
                last = error
                repository.fetch()
    raise KfpEdgeError(f"gave up after {ATTEMPTS} attempts: {last}")


def report(change: Change) -> str:
    """Return what a reviewer wants to know, as Markdown; a long diff is cut."""
    state = "new commit" if change.committed else "nothing to commit: the digest is there already"
    lines = [
        "# GitOps change",
        "",
        f"- Repository: `{change.repository}`",
        f"- Branch: `{change.branch}`",
        f"- Commit: `{change.commit}` ({state})",
    ]
    if change.committed:
        diff = change.diff.splitlines()
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", change.diff)), default=0))
        lines += ["", f"{fence}diff", *diff[:SHOWN_LINES], fence]
        if len(diff) > SHOWN_LINES:
            lines += ["", f"{len(diff) - SHOWN_LINES} more lines: `git show {change.commit}`."]
    return "\n".join(lines) + "\n"


def _attempt(repository: GitRepository, release: Release, target: Target) -> Change:
    base = _base(repository, target)
    if _carries(repository, base, release, target):
        return Change(target.remote.url, target.branch, base, "", committed=False)
    review = repository.head(release.branch)
    start = base if review is None or repository.contains(base, review) else review
    if start == review and _carries(repository, start, release, target):
        return Change(target.remote.url, release.branch, start, repository.diff(start), committed=False)
    files = _files(repository, start, release, target)
    commit = repository.commit(start, files, release.message(target.site))
    repository.push(commit, release.branch)
    return Change(target.remote.url, release.branch, commit, repository.diff(commit), committed=True)


def _base(repository: GitRepository, target: Target) -> str:
    head = repository.head(target.branch)
    if head is not None:
        return head
    if branches := repository.branches():
        raise KfpEdgeError(
            f"{target.remote.url} has no branch {target.branch}; create it, or set gitops_branch to one of: "
            f"{', '.join(branches)}."
        )
    files = {_README: (_TEMPLATE / _README).read_bytes()}
    commit = repository.commit(None, files, "docs: explain what this repository is for\n")
    repository.push(commit, target.branch)
    return commit


def _carries(repository: GitRepository, commit: str, release: Release, target: Target) -> bool:
    text = _overlay(repository, commit, release, target)
    return text is not None and _edited(text, release, target) == text


def _files(repository: GitRepository, start: str, release: Release, target: Target) -> dict[str, bytes]:
    overlay = _overlay(repository, start, release, target)
    if overlay is not None:
        return {target.overlay(release.model): _edited(overlay, release, target).encode()}
    base = f"models/{release.model}/base/"
    known = repository.read(start, f"{base}kustomization.yaml") is not None
    return {
        path: data
        for path, data in _rendered(release, target)
        if not (known and path.startswith(base)) and repository.read(start, path) is None
    }


def _overlay(repository: GitRepository, commit: str, release: Release, target: Target) -> str | None:
    path = target.overlay(release.model)
    data = repository.read(commit, path)
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        raise KfpEdgeError(f"{path} in {target.remote.url} is not UTF-8 text.") from error


def _edited(overlay: str, release: Release, target: Target) -> str:
    path = target.overlay(release.model)
    return set_image(overlay, release.model, release.image_name, release.digest, file=path)


def _rendered(release: Release, target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of every file of the template; values stand there in double quotes."""
    values = {
        "__model__": release.model,
        "__image_name__": release.image_name,
        "__digest__": release.digest,
        "__site__": target.site,
        "__namespace__": target.namespace,
        "__repository__": json.dumps(target.remote.url, ensure_ascii=False)[1:-1],
        "__branch__": json.dumps(target.branch, ensure_ascii=False)[1:-1],
    }
    placeholder = re.compile("|".join(values))

    def fill(text: str) -> str:
        return placeholder.sub(lambda found: values[found[0]], text)

    for file in sorted(_TEMPLATE.rglob("*.yaml")):
        yield fill(file.relative_to(_TEMPLATE).as_posix()), fill(file.read_text(encoding="utf-8")).encode()


def _check(what: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise KfpEdgeError(f"{what} {value!r} cannot be used; it must be {rule}.")
