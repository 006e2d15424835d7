"""Notes at the commits of a repository (git-notes(1)): what is stated about a commit without being a part of it.

`git log --notes=NAME` shows them, after `git fetch origin refs/notes/NAME:refs/notes/NAME`.
"""

from kfp_edge.errors import CommandError, GitError
from kfp_edge.git.repository import GitRepository
from kfp_edge.git.server_errors import PushedMeanwhileError, describe_access_error, describe_push_error

#: Attempts to add a note while other clients add theirs.
_ATTEMPTS = 5


def ensure_note(repository: GitRepository, name: str, commit: str, text: str) -> str:
    """Return the note that a commit has in the remote; if it has none, add this one.

    Args:
        repository: A clone.
        name: Of the notes: they are in `refs/notes/NAME`.
        commit: A commit.
        text: One line.

    Raises:
        GitError: the notes cannot be read, or the server refuses the push.
    """
    ref = f"refs/notes/{name}"
    for _ in range(_ATTEMPTS):
        if present := _read_note(repository, ref, commit):
            return present
        repository.git("notes", f"--ref={ref}", "add", "--message", text, commit)
        try:
            repository.git("push", "--quiet", "origin", f"{ref}:{ref}")
            return text
        except CommandError as error:
            problem = describe_push_error(error, repository.remote, ref, lambda: [], has_token=bool(repository.secrets))
            if not isinstance(problem, PushedMeanwhileError):
                raise problem from error
            last = problem
    raise GitError(f"gave up after {_ATTEMPTS} attempts: {last}")


def _read_note(repository: GitRepository, ref: str, commit: str) -> str:
    try:
        # a pattern, since git fails where the remote has no reference of a plain name
        repository.git("fetch", "--quiet", "--no-tags", "origin", f"+{ref}*:{ref}*")
    except CommandError as error:
        raise describe_access_error(error, repository.remote, "read", has_token=bool(repository.secrets)) from error
    return repository.git("log", "--max-count=1", f"--notes={ref}", "--format=%N", commit).strip()
