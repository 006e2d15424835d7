"""A temporary bare clone of a repository that others push to as well."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kfp_edge.errors import CommandError, GitError
from kfp_edge.git.environment import git_environment, read_token
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.server_errors import PushedMeanwhileError, describe_access_error, describe_push_error
from kfp_edge.runtime.process import run, run_binary

#: Seconds that one git command may take.
TIMEOUT = 300

# A repository on a volume often belongs to another user ID; the user who passes it trusts it.
_GLOBAL_CONFIG = "[safe]\n\tdirectory = *\n"
_NO_OBJECT = "0" * 40
# Paths that git gets as arguments; of more, all files are listed.
_MAX_ARGUMENTS = 200
# What git reports of a branch that was there a moment before.
_DELETED = "couldn't find remote ref"
#: A branch that a push only asks for.
_PROBE_BRANCH = "kfp-edge/access-check"


@dataclass(frozen=True)
class FileVersion:
    """What a file contains from a commit on: None if that deleted it; `is_merge` says whether that merged a branch."""

    commit: str
    since: datetime
    is_merge: bool
    data: bytes | None


@dataclass(frozen=True)
class GitRepository:
    """A temporary clone of a remote repository, as of the last `fetch`."""

    remote: GitRemote
    folder: Path
    env: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    #: The branches as the remote had them, and the head commits of those that were fetched; by their names.
    _remote_branches: dict[str, str] = field(default_factory=dict, repr=False)
    _fetched: dict[str, str] = field(default_factory=dict, repr=False)

    def fetch(self) -> None:
        """Read which branches the remote has now. Each is fetched when its head is asked for: there may be thousands.

        Raises:
            GitError: the server cannot be reached, or refuses the credentials.
        """
        branches = self.remote_commits()
        for name, commit in list(self._fetched.items()):
            if branches.get(name) != commit:
                del self._fetched[name]
        self._remote_branches.clear()
        self._remote_branches.update(branches)

    def remote_commits(self) -> dict[str, str]:
        """Return the commits of the remote's branches as it has them now, by name; nothing is fetched.

        Raises:
            GitError: the server cannot be reached, or refuses the credentials.
        """
        try:
            lines = self.git("ls-remote", "--heads", "origin").splitlines()
        except CommandError as error:
            raise self._access_error(error, "read") from error
        branches = (line.partition("\trefs/heads/") for line in lines)
        return dict(sorted((branch, commit) for commit, _, branch in branches))

    def check_push_access(self) -> None:
        """Ask the server whether it accepts a push, without pushing (git-push(1), `--dry-run`).

        Raises:
            GitError: it refuses the credentials, or the folder cannot be written to.
        """
        if self.remote.origin is None and not os.access(self.remote.url, os.W_OK | os.X_OK):
            raise GitError(f"cannot write the git repository {self.remote.url}: the folder is not writable.")
        commit = self.commit(None, {}, "access check\n")
        try:
            self.git("push", "--quiet", "--dry-run", "origin", f"{commit}:refs/heads/{_PROBE_BRANCH}")
        except CommandError as error:
            raise self._push_error(error, _PROBE_BRANCH) from error

    def branches(self) -> list[str]:
        """Return the names of the remote's branches, sorted."""
        return sorted(self._remote_branches)

    def head(self, branch: str) -> str | None:
        """Return the head commit of a branch, which is fetched if need be; None if the remote has no such branch.

        Raises:
            GitError: the server cannot be reached, or refuses the credentials.
        """
        if branch in self._remote_branches and branch not in self._fetched:
            # beside names of branches in folders, such as a/b, there may be one called a that is gone by now
            ref = f"refs/fetched/{hashlib.sha1(branch.encode()).hexdigest()}"
            try:
                self.git("fetch", "--quiet", "--no-tags", "origin", f"+refs/heads/{branch}:{ref}")
            except CommandError as error:
                if _DELETED in error.output.lower():
                    return None
                raise self._access_error(error, "read") from error
            self._fetched[branch] = self.git("rev-parse", "--verify", ref).strip()
        return self._fetched.get(branch)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is `commit` or part of its history."""
        return not self.git("rev-list", "--max-count=1", ancestor, f"^{commit}").strip()

    def merge_base(self, commit: str, other: str) -> str | None:
        """Return the newest commit that both have in their history, None if they have none."""
        try:
            return self.git("merge-base", commit, other).strip()
        except CommandError as error:
            if error.output:
                raise
            return None  # git says so by its exit code alone

    def contains_content(self, commit: str, branch: str) -> bool:
        """Whether what a branch changed was merged into `commit` in another way, such as one commit (squash).

        So it is if some commit of the history since the branch began has all files that the branch changed as the
        branch has them.
        """
        origin = self.merge_base(commit, branch)
        if origin is None:
            return False
        changed = self.git("diff-tree", "-r", "-z", "--name-only", origin, branch).split("\0")[:-1]
        if not changed:
            return True
        commits = self.git("rev-list", f"{origin}..{commit}", "--", *changed).split()
        return any(self._is_same(each, branch, changed) for each in commits)

    def read(self, commit: str, path: str) -> bytes | None:
        """Return the contents of a file in a commit, or None if there is no such file."""
        return self.read_all(commit, [path]).get(path)

    def read_all(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those files that a commit has; one process of git reads them all."""
        hashes = {path: entry[1] for path, entry in self._find_entries(commit, paths).items()}
        contents = zip(hashes, self._read_objects(hashes.values()), strict=True)
        return {path: data for path, data in contents if data is not None}

    def find_message(self, commit: str, text: str) -> str:
        """Return the message of the oldest commit in a history whose message contains a text, empty if there is none.

        Args:
            commit: The head of the history.
            text: A fixed text of one line.
        """
        options = ["--fixed-strings", f"--grep={text}", "--format=%H"]
        commits = self.git("log", *options, commit).split()
        return self.git("log", "--max-count=1", "--format=%B", commits[-1]).strip() if commits else ""

    def read_history(self, commit: str, path: str) -> list[FileVersion]:
        """Return the contents that a file has had on a branch, the newest first.

        Merges count, and not the commits that they brought: what is returned is what the branch had, and since when.

        Args:
            commit: The head of the branch.
            path: The path of the file.
        """
        lines = self.git("log", "--first-parent", "--format=%H %ct %P", commit, "--", path).splitlines()
        commits = [line.split() for line in lines]
        contents = self._read_objects(f"{each[0]}:{path}" for each in commits)
        return [
            FileVersion(each, datetime.fromtimestamp(int(seconds), UTC), len(parents) > 1, data)
            for (each, seconds, *parents), data in zip(commits, contents, strict=True)
        ]

    def list_files(self, commit: str, folder: str = "") -> list[str]:
        """Return the paths of all files of a commit below a folder, sorted."""
        return sorted(self._list_entries(commit, *([f"{folder.rstrip('/')}/"] if folder else [])))

    def list_past_files(self, commit: str, folder: str) -> list[str]:
        """Return the paths of all files that a commit or one of its history has below a folder, sorted."""
        output = self.git("log", "--name-only", "--format=", "-z", commit, "--", f"{folder}/")
        return sorted({path for path in output.split("\0") if path})

    def commit(
        self, parent: str | None, files: Mapping[str, bytes | None], message: str, *, merged: str | None = None
    ) -> str:
        """Create a commit that changes these files, without pushing it, and return its hash.

        Args:
            parent: The commit below it; None for the first one of a repository.
            files: The new contents of files by their paths; None deletes one.
            message: The commit message.
            merged: A commit whose files the new one has, with these changes, in place of the files of `parent`; it
                becomes the second parent.
        """
        start = merged or parent
        self.git("read-tree", *(["--empty"] if start is None else [start]))
        modes = {} if start is None else {path: entry[0] for path, entry in self._find_entries(start, files).items()}
        written = {path: data for path, data in files.items() if data is not None}
        lines = [f"0 {_NO_OBJECT}\t{path}\0" for path in files if path not in written]
        lines += [
            f"{modes.get(path, '100644')} {blob}\t{path}\0"
            for path, blob in zip(written, self._store_blobs(written.values()), strict=True)
        ]
        self.git("update-index", "-z", "--index-info", stdin="".join(lines))
        tree = self.git("write-tree").strip()
        parents = [argument for each in (parent, merged) if each is not None for argument in ("-p", each)]
        return self.git("commit-tree", tree, *parents, stdin=message).strip()

    def push(self, commit: str, branch: str, expected: str | None) -> None:
        """Update a branch of the remote to `commit`, if it still is what it was.

        Args:
            commit: A commit on top of `expected`.
            branch: The name of the branch.
            expected: The head of the branch as it was fetched; None if there was no such branch.

        Raises:
            PushedMeanwhileError: another client pushed to the branch, or deleted it, since `fetch`.
            GitError: the server refuses; the message has its reason.
        """
        ref = f"refs/heads/{branch}"
        try:
            self.git("push", "--quiet", f"--force-with-lease={ref}:{expected or ''}", "origin", f"{commit}:{ref}")
        except CommandError as error:
            problem = self._push_error(error, branch)
            if isinstance(problem, PushedMeanwhileError) or not self._has_arrived(commit, branch):
                raise problem from error

    def write_bundle(self, file: Path, branch: str, since: str | None) -> None:
        """Write a branch and its history into a file from which another repository can fetch it (git-bundle(1)).

        Args:
            file: The file, which is written anew.
            branch: A branch of the remote, which must have commits that `since` does not have.
            since: A commit whose history the reader has already; None for the whole history.

        Raises:
            GitError: the remote has no such branch, or cannot be read.
        """
        head = self.head(branch)
        if head is None:
            raise GitError(f"{self.remote.url} has no branch {branch}.")
        ref = f"refs/heads/{branch}"
        self.git("update-ref", ref, head)
        self.git("bundle", "create", "--quiet", str(file.resolve()), ref, *([f"^{since}"] if since else []))

    def read_bundle(self, file: Path, branch: str) -> None:
        """Add the commits of a file that `write_bundle` wrote.

        Raises:
            GitError: the file is damaged, or builds on commits that are not here.
        """
        try:
            self.git("fetch", "--quiet", "--no-tags", str(file.resolve()), f"refs/heads/{branch}")
        except CommandError as error:
            if "prerequisite" not in error.output:
                raise GitError(f"git cannot read the commits in the archive: {error}") from error
            raise GitError(
                f"the archive builds on commits that {self.remote.url} does not have; write the inventory of the site "
                "anew, and export again with it."
            ) from error

    def has_commit(self, commit: str) -> bool:
        """Whether a commit is here."""
        return b" commit " in self._git_binary("cat-file", "--batch-check", stdin=f"{commit}\n".encode())

    def diff(self, commit: str, base: str | None = None) -> str:
        """Return the changes of a commit, or those that merging it into `base` would bring, in git's format."""
        origin = None if base is None else self.merge_base(base, commit)
        commits = [commit] if origin is None else [origin, commit]
        return self.git("diff-tree", "--root", "--no-commit-id", "--patch", "--no-ext-diff", *commits)

    def _read_objects(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the contents of objects, None for those that are not there."""
        requests = [f"{name}\n" for name in names]
        if not requests:
            return
        output = self._git_binary("cat-file", "--batch", stdin="".join(requests).encode())
        position = 0
        for _ in requests:
            end = output.index(b"\n", position)
            head, position = output[position:end], end + 1
            if head.endswith(b" missing"):
                yield None
                continue
            size = int(head.split()[2])
            yield output[position : position + size]
            position += size + 1

    def _find_entries(self, commit: str, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return mode and hash of those files that a commit has, by their paths."""
        wanted = set(paths)
        if not wanted:
            return {}
        few = sorted(wanted) if len(wanted) <= _MAX_ARGUMENTS else []
        entries = self._list_entries(commit, *few)
        return {path: entries[path] for path in wanted if path in entries}

    def _list_entries(self, commit: str, *paths: str) -> dict[str, tuple[str, str]]:
        """Return mode and hash of the files of a commit by their paths: of all, or below some folders."""
        output = self.git("ls-tree", "-r", "-z", commit, *(["--", *paths] if paths else []))
        lines = (line.partition("\t") for line in output.split("\0") if line)
        entries = ((path, head.split()) for head, _, path in lines)
        return {path: (mode, blob) for path, (mode, kind, blob) in entries if kind == "blob"}

    def _store_blobs(self, contents: Iterable[bytes]) -> list[str]:
        """Store files as git objects, and return their hashes."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            paths = []
            for number, data in enumerate(contents):
                paths.append(Path(folder) / str(number))
                paths[-1].write_bytes(data)
            names = "".join(f"{path}\n" for path in paths)
            return self.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).split()

    def _is_same(self, commit: str, other: str, paths: list[str]) -> bool:
        return not self.git("diff-tree", "-r", "--name-only", commit, other, "--", *paths).strip()

    def _has_arrived(self, commit: str, branch: str) -> bool:
        """Whether a branch of the remote is at this commit, although the answer to the push was lost."""
        try:
            return self.remote_commits().get(branch) == commit
        except GitError:
            return False

    def git(self, *args: str, stdin: str | None = None) -> str:
        """Run git in the clone; raises a CommandError if it fails."""
        return run(["git", *args], cwd=self.folder, env=self.env, stdin=stdin, timeout=TIMEOUT, secrets=self.secrets)

    def _git_binary(self, *args: str, stdin: bytes) -> bytes:
        return run_binary(
            ["git", *args], cwd=self.folder, env=self.env, stdin=stdin, timeout=TIMEOUT, secrets=self.secrets
        )

    def _push_error(self, error: CommandError, branch: str) -> GitError:
        return describe_push_error(
            error, self.remote, branch, lambda: list(self.remote_commits()), has_token=bool(self.secrets)
        )

    def _access_error(self, error: CommandError, verb: str) -> GitError:
        return describe_access_error(error, self.remote, verb, has_token=bool(self.secrets))


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
        branches = list(repository.remote_commits())
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
        repository.git("init", "--quiet", "--bare", "--template=")
        repository.git("config", "remote.origin.url", remote.url)
        yield repository
