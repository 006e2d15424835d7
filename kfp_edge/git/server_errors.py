"""What a git server's refusal means to a person, and whether to try again."""

import re
from collections.abc import Callable, Iterable

from kfp_edge.errors import CommandError, GitError
from kfp_edge.git.remote import GitRemote

_REJECTED = re.compile(r"^ ! \[(?P<status>remote rejected|rejected)\] .*\((?P<reason>.*)\)$", re.MULTILINE)
# A server's reasons when two clients push to a branch at the same time.
_CONCURRENT_PUSH = ("cannot lock ref", "failed to update ref", "incorrect old value")
_NO_ACCESS = ("authentication failed", "could not read username", "could not read password", "error: 401", "error: 403")


# Parts of what git writes (in lower case), and what they mean to a person.
_REASONS = (
    (
        ("certificate",),
        "its server has a TLS certificate that this machine does not trust; "
        "set KFP_EDGE_GIT_CA_FILE to a file with its CA.",
    ),
    (
        ("could not resolve", "failed to connect", "connection refused", "timed out", "connection reset"),
        "its server cannot be reached; check its address and the network.",
    ),
    (
        ("not found", "does not appear to be a git repository", "does not exist"),
        "it is not found; check its address, and that the token in KFP_EDGE_GIT_TOKEN may see it.",
    ),
)


class PushedMeanwhileError(GitError):
    """Another client pushed to the branch after it was fetched: fetch, apply the change again, push again."""


def describe_push_error(
    error: CommandError, remote: GitRemote, branch: str, list_branches: Callable[[], list[str]], *, has_token: bool
) -> GitError:
    """Return the error of a push that failed.

    Args:
        error: What git wrote.
        remote: The repository.
        branch: The branch that was pushed to.
        list_branches: Asks the remote for all branches that it has now.
        has_token: Whether git had a token.
    """
    rejection = _REJECTED.search(error.output)
    if rejection is None:
        return describe_access_error(error, remote, "write", has_token=has_token)
    reason = rejection["reason"]
    is_concurrent = any(text in reason for text in _CONCURRENT_PUSH)
    if is_concurrent and (blocking := find_blocking_branches(branch, list_branches())):
        return blocked_branch_error(remote, branch, blocking[0])
    if is_concurrent or rejection["status"] == "rejected":
        return PushedMeanwhileError(
            f"another client pushed to the branch {branch} of {remote.url} in the meantime ({reason})."
        )
    lines = [line for line in error.output.splitlines() if line.startswith("remote:")]
    messages = filter(None, (line.removeprefix("remote:").strip() for line in lines))
    return GitError(f"{remote.url} refuses the push to the branch {branch}: {' | '.join([*messages, reason])}")


def find_blocking_branches(branch: str, branches: Iterable[str]) -> list[str]:
    """Return the branches beside which git can have no branch of this name (`a` and `a/b`).

    The server's message is that of two clients that push at the same time, so the names have to tell them apart.
    """
    return [other for other in branches if branch.startswith(f"{other}/") or other.startswith(f"{branch}/")]


def blocked_branch_error(remote: GitRemote, branch: str, other: str) -> GitError:
    """Return the error of a branch that cannot be beside another one."""
    return GitError(
        f"{remote.url} has the branch {other}, and git can have no branch {branch} beside it, because it keeps "
        f"branches as files in folders; rename or delete {other}."
    )


def describe_access_error(error: CommandError, remote: GitRemote, verb: str, *, has_token: bool) -> GitError:
    """Return the error of a repository that could not be read or written (`verb`)."""
    if any(text in error.output.lower() for text in _NO_ACCESS):
        cause = f"the token is wrong, has expired or may not {verb} this repository" if has_token else "no token is set"
        return GitError(
            f"{remote.url} refuses access: {cause}; "
            "put a valid one into KFP_EDGE_GIT_TOKEN, or into the file that KFP_EDGE_GIT_TOKEN_FILE names."
        )
    for signs, meaning in _REASONS:
        if any(sign in error.output.lower() for sign in signs):
            return GitError(f"cannot {verb} the git repository {remote.url}: {meaning}")
    reason = " ".join(error.output.split()) or str(error)
    return GitError(f"cannot {verb} the git repository {remote.url}; check its address and the network: {reason}")
