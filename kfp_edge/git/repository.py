"""Commits to a repository that others push to as well, without a work tree.

The real `git` does the work, in a scratch copy that vanishes afterwards. Nothing of the user's own git
configuration reaches it (hooks, signing, aliases, ignore files) but the author's name. Variables of the
environment say how an `https://` repository is reached:

- `KFP_EDGE_GIT_TOKEN`, or `KFP_EDGE_GIT_TOKEN_FILE` that names a file with it: the access token.
- `KFP_EDGE_GIT_USERNAME`: the user that goes with the token, `oauth2` by default.
- `KFP_EDGE_GIT_CA_FILE`: the CA (PEM) that signed the server's certificate.

The token reaches git through a credential helper that answers for the repository's own host only: it is
never part of an argument, a URL, a log or an error, and never follows a redirect to another host.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kfp_edge.errors import CommandError, GitError, KfpEdgeError
from kfp_edge.runtime.process import run

#: Seconds that one exchange with the server may take.
TIMEOUT = 300

_DEFAULT_AUTHOR = ("kfp-edge", "kfp-edge@localhost")
_HELPER = (
    '!f() { test "$1" = get || return 0; '
    'printf "username=%s\\npassword=%s\\n" "$KFP_EDGE_GIT_USERNAME" "$KFP_EDGE_GIT_TOKEN"; }; f'
)
# A repository on a volume often belongs to another user id; who named it to us trusts it.
_GLOBAL_CONFIG = "[safe]\n\tdirectory = *\n"
_KINDS = (
    "the git repository must be a folder, a file:// URL or an https://HOST/PATH URL; "
    "nothing else is taken (http:// would carry the token in the clear)."
)
_NOT_IN_A_BRANCH = r"\x00-\x20\x7f~^:?*\[\\"
_BRANCH = re.compile(
    rf"(?!.*(?:\.\.|//|/\.|@\{{|\.lock(?:/|\Z)))[^{_NOT_IN_A_BRANCH}/.\-@][^{_NOT_IN_A_BRANCH}]*(?<![/.])", re.DOTALL
)
_SSH = re.compile(r"(ssh://|[^/@]+@[^/:]+:)")
_REJECTED = re.compile(r"^ ! \[(?P<by>remote rejected|rejected)\] .*\((?P<why>.*)\)$", re.MULTILINE)
# What a server says when two pushes reach the same branch at the same moment.
_LOST_RACE = ("cannot lock ref", "failed to update ref", "incorrect old value")
_NO_ACCESS = ("authentication failed", "could not read username", "could not read password", "error: 401", "error: 403")


class PushedMeanwhileError(GitError):
    """Somebody else pushed to the branch after it was fetched: fetch, apply the change again, push again."""


@dataclass(frozen=True)
class GitRemote:
    """A repository as git reaches it: an absolute folder, or an `https://` URL without credentials."""

    url: str

    @property
    def origin(self) -> str | None:
        """`https://HOST[:PORT]`, or None for a folder."""
        return None if self.url.startswith("/") else "https://" + urlsplit(self.url).netloc

    @classmethod
    def parse(cls, text: str) -> "GitRemote":
        """Read a folder, a `file://` URL or an `https://` URL.

        Raises:
            KfpEdgeError: it is none of these, carries credentials, or the folder holds no git repository.
        """
        if _SSH.match(text):
            raise KfpEdgeError(
                "the git repository is named by an SSH address; name it by its https:// URL and put a token "
                "into KFP_EDGE_GIT_TOKEN."
            )
        try:
            url = urlsplit(text)
            scheme, host = url.scheme, url.hostname
        except ValueError as error:
            raise KfpEdgeError(_KINDS) from error
        if "@" in url.netloc or (host and (url.query or url.fragment)):
            raise KfpEdgeError(
                f"the URL of the git repository on {host} carries credentials or a query; name it as "
                "https://HOST/PATH and put the token into KFP_EDGE_GIT_TOKEN."
            )
        if scheme == "https" and host:
            return cls(f"https://{url.netloc}{url.path}")
        if scheme == "file" and host in (None, "localhost"):
            return cls(_existing(unquote(url.path)))
        if scheme in ("https", "http", "file") or "://" in text:
            raise KfpEdgeError(_KINDS)
        return cls(_existing(text))


def _existing(folder: str) -> str:
    path = Path(folder).expanduser().resolve()
    if not folder or not ((path / "HEAD").is_file() or (path / ".git").exists()):
        raise KfpEdgeError(f"there is no git repository in {path}; create one with `git init --bare {path}`.")
    return str(path)


def check_branch(name: str) -> None:
    """Raise a KfpEdgeError unless `name` can be a branch (git-check-ref-format(1))."""
    if not _BRANCH.fullmatch(name):
        raise KfpEdgeError(f"{name!r} cannot be the name of a git branch; use letters, digits, - . and /.")


@dataclass(frozen=True)
class GitRepository:
    """A scratch copy of a remote repository; what it reads is as of the last `fetch`."""

    remote: GitRemote
    folder: Path
    env: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def fetch(self) -> None:
        """Bring every branch up to date.

        Raises:
            KfpEdgeError: the server cannot be reached, or refuses the credentials.
        """
        try:
            self._git("fetch", "--quiet", "--prune", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        except CommandError as error:
            raise self._told(error, "read") from error

    def branches(self) -> list[str]:
        """Return the names of the remote's branches, sorted."""
        return self._git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin").split()

    def head(self, branch: str) -> str | None:
        """Return the commit at the end of a branch, or None when the remote has no such branch."""
        ref = f"refs/remotes/origin/{branch}"
        named = self._git("for-each-ref", "--format=%(refname) %(objectname)", ref).splitlines()
        return dict(line.split(" ") for line in named).get(ref)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Tell whether `ancestor` is `commit` or part of its history."""
        return not self._git("rev-list", "--max-count=1", ancestor, f"^{commit}").strip()

    def read(self, commit: str, path: str) -> bytes | None:
        """Return the bytes of a file as a commit has it, or None when it has no such file."""
        entry = self._entry(commit, path)
        if entry is None:
            return None
        unpacked = self.folder / self._git("unpack-file", entry[1]).strip()
        try:
            return unpacked.read_bytes()
        finally:
            unpacked.unlink()

    def commit(self, parent: str | None, files: Mapping[str, bytes], message: str) -> str:
        """Return a new commit that has these files, and all else as `parent` has it; nothing is pushed."""
        self._git("read-tree", *(["--empty"] if parent is None else [parent]))
        for path, data in files.items():
            entry = None if parent is None else self._entry(parent, path)
            mode = "100644" if entry is None else entry[0]
            self._git("update-index", "--add", "--cacheinfo", f"{mode},{self._store(data)},{path}")
        tree = self._git("write-tree").strip()
        above = [] if parent is None else ["-p", parent]
        return self._git("commit-tree", tree, *above, stdin=message).strip()

    def push(self, commit: str, branch: str) -> None:
        """Move a branch of the remote to `commit`, never over somebody else's commits.

        Raises:
            PushedMeanwhileError: somebody else pushed to the branch since `fetch`.
            KfpEdgeError: the server refuses; the sentence holds its reason.
        """
        try:
            self._git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        except CommandError as error:
            raise self._refusal(error, branch) from error

    def diff(self, commit: str) -> str:
        """Return what a commit changes, as `git diff` writes it."""
        return self._git("diff-tree", "--root", "--no-commit-id", "--patch", "--no-ext-diff", commit)

    def _entry(self, commit: str, path: str) -> tuple[str, str] | None:
        listed = self._git("ls-tree", commit, "--", path).split()
        if not listed or listed[1] != "blob":
            return None
        return listed[0], listed[2]

    def _store(self, data: bytes) -> str:
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            file.write(data)
            file.flush()
            return self._git("hash-object", "-w", "--no-filters", file.name).strip()

    def _git(self, *args: str, stdin: str | None = None) -> str:
        return run(["git", *args], cwd=self.folder, env=self.env, stdin=stdin, timeout=TIMEOUT, secrets=self.secrets)

    def _refusal(self, error: CommandError, branch: str) -> KfpEdgeError:
        found = _REJECTED.search(error.output)
        if found is None:
            return self._told(error, "write")
        why = found["why"]
        if found["by"] == "rejected" or any(text in why for text in _LOST_RACE):
            return PushedMeanwhileError(f"somebody else pushed to the branch {branch} of {self.remote.url} ({why}).")
        said = [
            line.removeprefix("remote:").strip() for line in error.output.splitlines() if line.startswith("remote:")
        ]
        reason = " | ".join([*filter(None, said), why])
        return KfpEdgeError(f"{self.remote.url} refuses the push to the branch {branch}: {reason}")

    def _told(self, error: CommandError, verb: str) -> KfpEdgeError:
        if any(text in error.output.lower() for text in _NO_ACCESS):
            given = "the token is wrong, has expired" if self.secrets else "no token is set"
            return KfpEdgeError(
                f"{self.remote.url} refuses access: {given} or may not {verb} this repository; "
                "put a valid one into KFP_EDGE_GIT_TOKEN, or name its file in KFP_EDGE_GIT_TOKEN_FILE."
            )
        reason = " ".join(error.output.split()) or str(error)
        return KfpEdgeError(f"cannot {verb} the git repository {self.remote.url}: {reason}")


@contextmanager
def open_repository(remote: GitRemote) -> Iterator[GitRepository]:
    """Yield a fetched scratch copy of `remote`, removed at the end whatever happens.

    Raises:
        KfpEdgeError: the remote cannot be read, or a variable of the environment is not as it should be.
    """
    with tempfile.TemporaryDirectory(prefix="kfp-edge-git-") as name:
        folder = Path(name)
        config = folder / "global-config"
        config.write_text(_GLOBAL_CONFIG)
        token = _token() if remote.origin else ""
        repository = GitRepository(
            remote, folder / "copy", _environment(remote, token, config), (token,) if token else ()
        )
        repository.folder.mkdir()
        repository._git("init", "--quiet", "--bare", "--template=")
        repository._git("remote", "add", "origin", remote.url)
        repository.fetch()
        yield repository


def _environment(remote: GitRemote, token: str, global_config: Path) -> dict[str, str]:
    settings = {}
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "KFP_EDGE_GIT_"))}
    if token:
        env["KFP_EDGE_GIT_TOKEN"] = token
        env["KFP_EDGE_GIT_USERNAME"] = _one_line("KFP_EDGE_GIT_USERNAME", "oauth2")
        settings[f"credential.{remote.origin}.helper"] = _HELPER
    if remote.origin and (ca_file := os.environ.get("KFP_EDGE_GIT_CA_FILE")):
        if not Path(ca_file).is_file():
            raise KfpEdgeError(f"KFP_EDGE_GIT_CA_FILE names {ca_file}, which is not a file.")
        settings["http.sslCAInfo"] = str(Path(ca_file).resolve())
    for index, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    author, email = _author()
    return env | {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(global_config),
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_ALLOW_PROTOCOL": "file:https",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_AUTHOR_NAME": author,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": author,
        "GIT_COMMITTER_EMAIL": email,
    }


def _token() -> str:
    if token := _one_line("KFP_EDGE_GIT_TOKEN"):
        return token
    file = os.environ.get("KFP_EDGE_GIT_TOKEN_FILE")
    if not file:
        return ""
    try:
        return _checked("KFP_EDGE_GIT_TOKEN_FILE", Path(file).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise KfpEdgeError(f"KFP_EDGE_GIT_TOKEN_FILE names {file}, which cannot be read as text.") from error


def _one_line(name: str, default: str = "") -> str:
    return _checked(name, os.environ.get(name) or default)


def _checked(name: str, value: str) -> str:
    if not value.strip().isprintable():
        raise KfpEdgeError(f"{name} must hold one line of printable text.")
    return value.strip()


def _author() -> tuple[str, str]:
    name = os.environ.get("GIT_AUTHOR_NAME") or _configured("user.name")
    email = os.environ.get("GIT_AUTHOR_EMAIL") or _configured("user.email")
    return (name, email) if name and email else _DEFAULT_AUTHOR


def _configured(key: str) -> str:
    return run(["git", "config", "--default", "", "--get", key]).strip()
