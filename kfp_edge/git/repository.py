"""A temporary bare clone of a repository that others push to as well."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kfp_edge.errors import CommandError, GitError
from kfp_edge.git.environment import git_environment, read_token
from kfp_edge.git.remote import GitRemote
from kfp_edge.runtime.process import run

#: Seconds that one git command may take.
TIMEOUT = 300

# A repository on a volume often belongs to another user ID; the user who passes it trusts it.
_GLOBAL_CONFIG = "[safe]\n\tdirectory = *\n"
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
#: A branch that a push only asks for.
_PROBE_BRANCH = "kfp-edge/access-check"


class PushedMeanwhileError(GitError):
    """Another client pushed to the branch after it was fetched: fetch, apply the change again, push again."""


@dataclass(frozen=True)
class GitRepository:
    """A temporary clone of a remote repository, as of the last `fetch`."""

    remote: GitRemote
    folder: Path
    env: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def fetch(self) -> None:
        """Fetch every branch.

        Raises:
            GitError: the server cannot be reached, or refuses the credentials.
        """
        try:
            self._git("fetch", "--quiet", "--prune", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        except CommandError as error:
            raise self._access_error(error, "read") from error

    def remote_branches(self) -> list[str]:
        """Return the names of the remote's branches as it has them now, sorted; nothing is fetched.

        Raises:
            GitError: the server cannot be reached, or refuses the credentials.
        """
        try:
            lines = self._git("ls-remote", "--heads", "origin").splitlines()
        except CommandError as error:
            raise self._access_error(error, "read") from error
        return sorted(line.partition("\trefs/heads/")[2] for line in lines)

    def check_push_access(self) -> None:
        """Ask the server whether it accepts a push, without pushing (git-push(1), `--dry-run`).

        Raises:
            GitError: it refuses the credentials, or the folder cannot be written to.
        """
        if self.remote.origin is None and not os.access(self.remote.url, os.W_OK | os.X_OK):
            raise GitError(f"cannot write the git repository {self.remote.url}: the folder is not writable.")
        commit = self.commit(None, {}, "access check\n")
        try:
            self._git("push", "--quiet", "--dry-run", "origin", f"{commit}:refs/heads/{_PROBE_BRANCH}")
        except CommandError as error:
            raise self._push_error(error, _PROBE_BRANCH) from error

    def branches(self) -> list[str]:
        """Return the names of the remote's branches, sorted."""
        return self._git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin").split()

    def head(self, branch: str) -> str | None:
        """Return the head commit of a branch, or None if the remote has no such branch."""
        ref = f"refs/remotes/origin/{branch}"
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname)", ref).splitlines()
        return dict(line.split(" ") for line in lines).get(ref)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is `commit` or part of its history."""
        return not self._git("rev-list", "--max-count=1", ancestor, f"^{commit}").strip()

    def read(self, commit: str, path: str) -> bytes | None:
        """Return the contents of a file in a commit, or None if there is no such file."""
        entry = self._find_entry(commit, path)
        if entry is None:
            return None
        unpacked = self.folder / self._git("unpack-file", entry[1]).strip()
        try:
            return unpacked.read_bytes()
        finally:
            unpacked.unlink()

    def commit(self, parent: str | None, files: Mapping[str, bytes], message: str) -> str:
        """Create a commit on top of `parent` that changes these files, without pushing it, and return its hash."""
        self._git("read-tree", *(["--empty"] if parent is None else [parent]))
        for path, data in files.items():
            entry = None if parent is None else self._find_entry(parent, path)
            mode = "100644" if entry is None else entry[0]
            self._git("update-index", "--add", "--cacheinfo", f"{mode},{self._store_blob(data)},{path}")
        tree = self._git("write-tree").strip()
        parents = [] if parent is None else ["-p", parent]
        return self._git("commit-tree", tree, *parents, stdin=message).strip()

    def push(self, commit: str, branch: str) -> None:
        """Update a branch of the remote to `commit`, only as a fast-forward.

        Raises:
            PushedMeanwhileError: another client pushed to the branch since `fetch`.
            GitError: the server refuses; the message has its reason.
        """
        try:
            self._git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        except CommandError as error:
            raise self._push_error(error, branch) from error

    def diff(self, commit: str) -> str:
        """Return the changes of a commit in the format of `git diff`."""
        return self._git("diff-tree", "--root", "--no-commit-id", "--patch", "--no-ext-diff", commit)

    def _find_entry(self, commit: str, path: str) -> tuple[str, str] | None:
        """Return mode and hash of a file in a commit."""
        entry = self._git("ls-tree", commit, "--", path).split()
        if not entry or entry[1] != "blob":
            return None
        return entry[0], entry[2]

    def _store_blob(self, data: bytes) -> str:
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            file.write(data)
            file.flush()
            return self._git("hash-object", "-w", "--no-filters", file.name).strip()

    def _git(self, *args: str, stdin: str | None = None) -> str:
        return run(["git", *args], cwd=self.folder, env=self.env, stdin=stdin, timeout=TIMEOUT, secrets=self.secrets)

    def _push_error(self, error: CommandError, branch: str) -> GitError:
        rejection = _REJECTED.search(error.output)
        if rejection is None:
            return self._access_error(error, "write")
        reason = rejection["reason"]
        if rejection["status"] == "rejected" or any(text in reason for text in _CONCURRENT_PUSH):
            return PushedMeanwhileError(
                f"another client pushed to the branch {branch} of {self.remote.url} in the meantime ({reason})."
            )
        lines = [line for line in error.output.splitlines() if line.startswith("remote:")]
        messages = filter(None, (line.removeprefix("remote:").strip() for line in lines))
        return GitError(f"{self.remote.url} refuses the push to the branch {branch}: {' | '.join([*messages, reason])}")

    def _access_error(self, error: CommandError, verb: str) -> GitError:
        if any(text in error.output.lower() for text in _NO_ACCESS):
            cause = f"the token is wrong, has expired or may not {verb} this repository"
            return GitError(
                f"{self.remote.url} refuses access: {cause if self.secrets else 'no token is set'}; "
                "put a valid one into KFP_EDGE_GIT_TOKEN, or into the file that KFP_EDGE_GIT_TOKEN_FILE names."
            )
        for signs, meaning in _REASONS:
            if any(sign in error.output.lower() for sign in signs):
                return GitError(f"cannot {verb} the git repository {self.remote.url}: {meaning}")
        reason = " ".join(error.output.split()) or str(error)
        return GitError(
            f"cannot {verb} the git repository {self.remote.url}; check its address and the network: {reason}"
        )


@contextmanager
def open_repository(remote: GitRemote) -> Iterator[GitRepository]:
    """Yield a fetched temporary clone of `remote`, which is removed at the end in any case.

    Raises:
        GitError: the remote cannot be read.
        ParameterError: an environment variable is not valid.
    """
    with _create_repository(remote) as repository:
        repository.fetch()
        yield repository


def check_access(remote: GitRemote) -> list[str]:
    """Check that a remote can be read and pushed to, and return the names of its branches; nothing is transferred.

    Raises:
        GitError: the server cannot be reached, or refuses.
        ParameterError: an environment variable is not valid.
    """
    with _create_repository(remote) as repository:
        branches = repository.remote_branches()
        repository.check_push_access()
        return branches


@contextmanager
def _create_repository(remote: GitRemote) -> Iterator[GitRepository]:
    """Yield a temporary bare repository that has fetched nothing yet."""
    with tempfile.TemporaryDirectory(prefix="kfp-edge-git-") as name:
        folder = Path(name)
        config = folder / "global-config"
        config.write_text(_GLOBAL_CONFIG)
        token = read_token() if remote.origin else ""
        env = git_environment(remote, token, config)
        repository = GitRepository(remote, folder / "clone", env, (token,) if token else ())
        repository.folder.mkdir()
        repository._git("init", "--quiet", "--bare", "--template=")
        repository._git("remote", "add", "origin", remote.url)
        yield repository
