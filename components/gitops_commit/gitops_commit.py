"""Commit a release to a review branch.

Only `Target.overlay` decides which file has the digest of a site; rollout rings would be added there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.components.gitops_commit.kustomization import set_image
from kfp_edge.errors import GitError, ParameterError
from kfp_edge.git.remote import GitRemote, check_branch
from kfp_edge.git.repository import GitRepository, PushedMeanwhileError, check_access, open_repository
from kfp_edge.suggestions import did_you_mean

#: Attempts to commit and push while other clients push to the same branch.
ATTEMPTS = 5
#: Lines of the diff in the report; the first commit of a model, with all of its files, has some 210.
MAX_DIFF_LINES = 400

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
    """A version of a model as an image by digest; `image_name` is `HOST[:PORT]/REPO`, without tag or digest.

    `summary` is what the reviewer should know about the model, in Markdown.
    """

    model: str
    version: str
    image_name: str
    digest: str
    summary: str = ""

    def __post_init__(self) -> None:
        check_model(self.model, self.version)
        _validate("image name", self.image_name, _IMAGE_NAME, "HOST[:PORT]/REPO/NAME")
        _validate("image digest", self.digest, _DIGEST, "sha256: and 64 hex digits")

    @property
    def branch(self) -> str:
        """The review branch."""
        return review_branch(self.model, self.version)

    def message(self, site: str) -> str:
        """Return the commit message: a Conventional Commit with trailers."""
        summary = f"{self.summary}\n\n" if self.summary else ""
        return (
            f"feat({site}): {self.model} {self.version} at {self.digest.removeprefix('sha256:')[:12]}\n\n{summary}"
            f"Image: {self.image_name}@{self.digest}\nModel-Version: {self.version}\n"
        )


@dataclass(frozen=True)
class Target:
    """Where a release is deployed: a site, and the branch of the GitOps repository that it follows."""

    remote: GitRemote
    branch: str
    site: str
    namespace: str

    def __post_init__(self) -> None:
        check_site(self.branch, self.site, self.namespace)

    def overlay(self, model: str) -> str:
        """Return the path of the kustomization with the digest of a model."""
        return f"sites/{self.site}/{model}/kustomization.yaml"


@dataclass(frozen=True)
class Change:
    """The commit that has the digest; `diff` is empty if the base branch had it already."""

    repository: str
    branch: str
    commit: str
    diff: str
    #: False if there was nothing to commit.
    committed: bool


def check_model(name: str, version: str) -> None:
    """Refuse a name or a version that cannot be committed.

    Raises:
        ParameterError: it cannot name a Kubernetes Service, a folder, or the review branch.
    """
    _validate("model_name", name, _SERVICE, f"{_LABEL_RULE}, with a letter first (it names a Service)")
    _validate("model_version", version, _VERSION, "letters, digits and . _ -, at most 63")
    check_branch(review_branch(name, version))


def check_site(branch: str, site: str, namespace: str) -> None:
    """Refuse a site that no folder, and a namespace that no cluster can have.

    Raises:
        ParameterError: with what to write instead.
    """
    _validate("site", site, _LABEL, _LABEL_RULE)
    _validate("namespace", namespace, _LABEL, _LABEL_RULE)
    check_branch(branch)


def review_branch(name: str, version: str) -> str:
    """Return the branch on which a version of a model is proposed."""
    return f"kfp-edge/{name}/{version}"


def commit_release(release: Release, target: Target) -> Change:
    """Commit a release to the review branch of a GitOps repository, at most once.

    An empty repository gets its README on the base branch first. A new model or site gets its files from the template;
    after that only the digest changes.

    Raises:
        GitError: the repository cannot be read, refuses the push, or the image in an overlay cannot be edited.
        ParameterError: an environment variable is not valid.
    """
    with open_repository(target.remote) as repository:
        for _ in range(ATTEMPTS):
            try:
                return _commit_once(repository, release, target)
            except PushedMeanwhileError as error:
                last = error
                repository.fetch()
    raise GitError(f"gave up after {ATTEMPTS} attempts: {last}")


def check_target(target: Target) -> None:
    """Check, without a change, that a release can be committed: the repository and the branch that the site follows.

    Raises:
        GitError: the repository cannot be read or pushed to, or has other branches only.
        ParameterError: an environment variable is not valid.
    """
    branches = check_access(target.remote)
    if branches and target.branch not in branches:
        raise _missing_branch_error(target, branches)


def _missing_branch_error(target: Target, branches: list[str]) -> GitError:
    hint = did_you_mean(target.branch, branches)
    return GitError(
        f"{target.remote.url} has no branch {target.branch}; {hint}create it, or set gitops_branch to one of: "
        f"{', '.join(branches)}."
    )


def render_report(change: Change, summary: str = "") -> str:
    """Return the change for its reviewer, as Markdown, with the summary of the model; a long diff is truncated."""
    state = "new commit" if change.committed else "nothing to commit: the digest is there already"
    lines = [
        "# GitOps change",
        "",
        f"- Repository: `{change.repository}`",
        f"- Branch: `{change.branch}`",
        f"- Commit: `{change.commit}` ({state})",
        *(["", summary] if summary else []),
    ]
    if change.committed:
        diff = change.diff.splitlines()
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", change.diff)), default=0))
        lines += ["", f"{fence}diff", *diff[:MAX_DIFF_LINES], fence]
        if len(diff) > MAX_DIFF_LINES:
            lines += ["", f"{len(diff) - MAX_DIFF_LINES} more lines: `git show {change.commit}`."]
    return "\n".join(lines) + "\n"


def _commit_once(repository: GitRepository, release: Release, target: Target) -> Change:
    base = _base_commit(repository, target)
    if _has_digest(repository, base, release, target):
        return Change(target.remote.url, target.branch, base, "", committed=False)
    review = repository.head(release.branch)
    start = base if review is None or repository.contains(base, review) else review
    if start == review and _has_digest(repository, start, release, target):
        return Change(target.remote.url, release.branch, start, repository.diff(start), committed=False)
    files = _changed_files(repository, start, release, target)
    commit = repository.commit(start, files, release.message(target.site))
    repository.push(commit, release.branch)
    return Change(target.remote.url, release.branch, commit, repository.diff(commit), committed=True)


def _base_commit(repository: GitRepository, target: Target) -> str:
    head = repository.head(target.branch)
    if head is not None:
        return head
    if branches := repository.branches():
        raise _missing_branch_error(target, branches)
    files = {_README: (_TEMPLATE / _README).read_bytes()}
    commit = repository.commit(None, files, "docs: explain what this repository is for\n")
    repository.push(commit, target.branch)
    return commit


def _has_digest(repository: GitRepository, commit: str, release: Release, target: Target) -> bool:
    text = _read_overlay(repository, commit, release, target)
    return text is not None and _edit_overlay(text, release, target) == text


def _changed_files(repository: GitRepository, start: str, release: Release, target: Target) -> dict[str, bytes]:
    overlay = _read_overlay(repository, start, release, target)
    if overlay is not None:
        return {target.overlay(release.model): _edit_overlay(overlay, release, target).encode()}
    base = f"models/{release.model}/base/"
    has_base = repository.read(start, f"{base}kustomization.yaml") is not None
    return {
        path: data
        for path, data in _render_template(release, target)
        if not (has_base and path.startswith(base)) and repository.read(start, path) is None
    }


def _read_overlay(repository: GitRepository, commit: str, release: Release, target: Target) -> str | None:
    path = target.overlay(release.model)
    data = repository.read(commit, path)
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        raise GitError(f"{path} in {target.remote.url} is not UTF-8 text.") from error


def _edit_overlay(overlay: str, release: Release, target: Target) -> str:
    path = target.overlay(release.model)
    return set_image(overlay, release.model, release.image_name, release.digest, file=path)


def _render_template(release: Release, target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of every file of the template, where placeholders are in double quotes."""
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
        return placeholder.sub(lambda match: values[match[0]], text)

    for file in sorted(_TEMPLATE.rglob("*.yaml")):
        yield fill(file.relative_to(_TEMPLATE).as_posix()), fill(file.read_text(encoding="utf-8")).encode()


def _validate(name: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise ParameterError(f"{name} {value!r} cannot be used; it must be {rule}.")
