"""Changes of a repository, each one commit on a branch, which is computed again when somebody else pushed first."""

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from kfp_edge.errors import GitError
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import GitRepository, check_access, open_repository
from kfp_edge.git.server_errors import PushedMeanwhileError, blocked_branch_error, find_blocking_branches
from kfp_edge.gitops.tree import Commit, Tree
from kfp_edge.suggestions import did_you_mean

#: Attempts to commit and push while other clients push to the same branch: of so many at once, none is lost.
ATTEMPTS = 60
#: Seconds that an attempt waits at most for the others.
_LONGEST_WAIT = 4.0

#: The changed files of a tree by their paths; None deletes one.
Files = Mapping[str, bytes | None]


@dataclass(frozen=True)
class PlannedCommit:
    """What a change is, given the files that are there.

    Attributes:
        branch: The review branch.
        message: The commit message.
        files: The files that the change sets; those that are there already count for nothing.
        warnings: What the user should know, in sentences.
    """

    branch: str
    message: str
    files: Files
    warnings: tuple[str, ...] = ()


#: Computes a change from the files that are there.
Plan = Callable[[Tree], PlannedCommit]


@dataclass(frozen=True)
class Change:
    """The commit that has a change; `diff` is empty if the base branch had it already."""

    repository: str
    branch: str
    commit: str
    diff: str
    #: False if there was nothing to commit.
    committed: bool
    #: What the user should know, in sentences.
    warnings: tuple[str, ...] = ()


def propose_change(remote: GitRemote, base: str, plan: Plan, *, first_files: Files | None = None) -> Change:
    """Commit a change to a review branch, at most once.

    The change is applied to the review branch if there is one that is not merged yet, and else to the base branch. A
    branch that was merged into one commit (squash) counts as merged: the new commit then has the files of the base and
    both branches as parents, so that nothing is ever rewritten.

    Args:
        remote: The repository.
        base: The branch into which the change is to be merged.
        plan: Computes the change from the files of a commit.
        first_files: What an empty repository gets on its base branch, so that there is something to merge into; None
            if an empty repository is an error.

    Raises:
        GitError: the repository cannot be read, lacks the base branch, or refuses the push; or what `plan` raises.
        ParameterError: an environment variable is not valid.
    """
    with open_repository(remote) as repository:
        return propose_in(repository, base, plan, first_files=first_files)


def propose_in(repository: GitRepository, base: str, plan: Plan, *, first_files: Files | None = None) -> Change:
    """Commit a change to a review branch as `propose_change` does, by a clone that is there already."""

    def attempt() -> Change:
        start = _base_commit(repository, base, first_files)
        planned = plan(Commit(repository, start))
        if not _differs(Commit(repository, start), planned.files):
            return Change(repository.remote.url, base, start, "", False, planned.warnings)
        return _commit_to_review(repository, start, planned.branch, plan)

    return _retry(repository, attempt)


def commit_change(remote: GitRemote, branch: str, plan: Plan) -> Change:
    """Commit a change to a branch itself, at most once: where no one reviews it. The plan's own branch does not count.

    Raises:
        GitError: the repository cannot be read, lacks the branch, or refuses the push; or what `plan` raises.
        ParameterError: an environment variable is not valid.
    """
    with open_repository(remote) as repository:
        return _retry(repository, partial(_commit_directly, repository, branch, plan))


def _commit_directly(repository: GitRepository, branch: str, plan: Plan) -> Change:
    url = repository.remote.url
    head = _base_commit(repository, branch, None)
    tree = Commit(repository, head)
    planned = plan(tree)
    files = _differs(tree, planned.files)
    if not files:
        return Change(url, branch, head, "", False, planned.warnings)
    commit = repository.commit(head, files, planned.message)
    repository.push(commit, branch, head)
    return Change(url, branch, commit, repository.diff(commit), True, planned.warnings)


def check_change(remote: GitRemote, base: str, plan: Plan, *, may_be_empty: bool) -> None:
    """Check, without a change, that a change could be proposed: access, the base branch, the files, the review branch.

    Args:
        remote: The repository.
        base: The branch into which the change is to be merged.
        plan: Computes the change from the files of a commit.
        may_be_empty: Whether the repository may have no commit yet.

    Raises:
        GitError: the repository cannot be read or pushed to, lacks the base branch, or has another branch in the way;
            or what `plan` raises.
        ParameterError: an environment variable is not valid.
    """
    branches = check_access(remote)
    if not branches:
        if not may_be_empty:
            raise _empty_error(remote)
        return
    with open_repository(remote) as repository:
        head = repository.head(base)
        if head is None:
            raise missing_branch_error(remote, base, branches)
        planned = plan(Commit(repository, head))
    if planned.branch not in branches and (blocking := find_blocking_branches(planned.branch, branches)):
        raise blocked_branch_error(remote, planned.branch, blocking[0])


def _empty_error(remote: GitRemote) -> GitError:
    return GitError(f"{remote.url} is empty; start it with `kfp-edge fleet init`.")


def missing_branch_error(remote: GitRemote, branch: str, branches: list[str]) -> GitError:
    """Return the error of a repository without the base branch."""
    if not branches:
        return GitError(f"{remote.url} has no branch yet; push {branch} to it first.")
    hint = did_you_mean(branch, branches)
    return GitError(
        f"{remote.url} has no branch {branch}; {hint}create it, or name another one (gitops_branch of a pipeline, "
        f"branch in fleet.yaml): {', '.join(branches)}."
    )


def _retry(repository: GitRepository, attempt: Callable[[], Change]) -> Change:
    for number in range(ATTEMPTS):
        try:
            return attempt()
        except PushedMeanwhileError as error:
            last = error
            # of clients in lockstep, one would win and the others lose, again and again
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.1 * 2**number)))
            repository.fetch()
    raise GitError(f"gave up after {ATTEMPTS} attempts: {last}")


def _commit_to_review(repository: GitRepository, base: str, branch: str, plan: Plan) -> Change:
    url = repository.remote.url
    review = repository.head(branch)
    if review is None and (blocking := find_blocking_branches(branch, repository.branches())):
        raise blocked_branch_error(repository.remote, branch, blocking[0])
    is_merged = review is not None and repository.contains(base, review)
    is_squashed = review is not None and not is_merged and repository.contains_content(base, review)
    start = base if review is None or is_merged else review
    tree = Commit(repository, base if is_squashed else start)
    planned = plan(tree)
    files = _differs(tree, planned.files)
    if not files:
        return Change(url, branch, start, repository.diff(start, base), False, planned.warnings)
    commit = repository.commit(start, files, planned.message, merged=base if is_squashed else None)
    repository.push(commit, branch, review)
    return Change(url, branch, commit, repository.diff(commit, base), True, planned.warnings)


def _base_commit(repository: GitRepository, branch: str, first_files: Files | None) -> str:
    head = repository.head(branch)
    if head is not None:
        return head
    branches = repository.branches()
    if branches:
        raise missing_branch_error(repository.remote, branch, branches)
    if first_files is None:
        raise _empty_error(repository.remote)
    commit = repository.commit(None, first_files, "docs: explain what this repository is for\n")
    repository.push(commit, branch, None)
    return commit


def _differs(tree: Tree, files: Files) -> dict[str, bytes | None]:
    present = tree.read_all(files)
    return {path: data for path, data in files.items() if present.get(path) != data}


def fence_diff(diff: str, limit: int, command: str) -> list[str]:
    """Return a diff as a fenced block of Markdown, of at most `limit` lines; `command` prints the rest."""
    lines = diff.splitlines()
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", diff)), default=0))
    more = [f"{len(lines) - limit} more lines: `{command}`."] if len(lines) > limit else []
    return [f"{fence}diff", *lines[:limit], fence, *([""] if more else []), *more]
