"""Addresses of git repositories, and names of branches."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from kfp_edge.errors import ParameterError

_SUPPORTED = (
    "the git repository must be a folder, a file:// URL or an https://HOST/PATH URL; "
    "other URLs are not supported (http:// would send the token in clear text)."
)
_SSH = re.compile(r"(ssh://|[^/@]+@[^/:]+:)")
# git-check-ref-format(1)
_NOT_IN_A_BRANCH = r"\x00-\x20\x7f~^:?*\[\\"
_BRANCH = re.compile(
    rf"(?!.*(?:\.\.|//|/\.|@\{{|\.lock(?:/|\Z)))[^{_NOT_IN_A_BRANCH}/.\-@][^{_NOT_IN_A_BRANCH}]*(?<![/.])", re.DOTALL
)


@dataclass(frozen=True)
class GitRemote:
    """A repository by its address for git: an absolute path, or an `https://` URL without credentials."""

    url: str

    @property
    def origin(self) -> str | None:
        """`https://HOST[:PORT]`, or None for a folder."""
        return None if self.url.startswith("/") else "https://" + urlsplit(self.url).netloc

    @classmethod
    def parse(cls, text: str) -> "GitRemote":
        """Parse a folder, a `file://` URL or an `https://` URL.

        Raises:
            ParameterError: it is none of these, contains credentials, or the folder has no git repository.
        """
        url = cls.check_syntax(text)
        if url.scheme == "https":
            return cls(f"https://{url.netloc}{url.path}")
        return cls(_resolve_folder(unquote(url.path) if url.scheme == "file" else text))

    @staticmethod
    def check_syntax(text: str) -> SplitResult:
        """Split an address whose kind is supported, without a look at the folder that it may name.

        Raises:
            ParameterError: it is no such address, or contains credentials.
        """
        if _SSH.match(text):
            raise ParameterError(
                "the git repository has an SSH address; use its https:// URL and put a token into KFP_EDGE_GIT_TOKEN."
            )
        try:
            url = urlsplit(text)
            host = url.hostname
        except ValueError as error:
            raise ParameterError(_SUPPORTED) from error
        if "@" in url.netloc or (host and (url.query or url.fragment)):
            raise ParameterError(
                f"the URL of the git repository on {host} contains credentials or a query; use "
                "https://HOST/PATH and put the token into KFP_EDGE_GIT_TOKEN."
            )
        supported = (url.scheme == "https" and host) or (url.scheme == "file" and host in (None, "localhost"))
        if not supported and (url.scheme in ("https", "http", "file") or "://" in text):
            raise ParameterError(_SUPPORTED)
        return url


def check_branch(name: str) -> None:
    """Raise a ParameterError unless `name` is a valid branch name (git-check-ref-format(1))."""
    if not _BRANCH.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be the name of a git branch; use letters, digits, - . and /.")


def _resolve_folder(folder: str) -> str:
    path = Path(folder).expanduser().resolve()
    if not folder or not ((path / "HEAD").is_file() or (path / ".git").exists()):
        raise ParameterError(f"there is no git repository in {path}; create one with `git init --bare {path}`.")
    return str(path)
