"""Where the API of a repository's forge is: derived from the address for git, or given."""

from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from kfp_edge.errors import ParameterError
from kfp_edge.git.remote import GitRemote
from kfp_edge.suggestions import describe_unknown_choice

#: A self-hosted forge cannot be recognized by its URL, so its kind is named.
ForgeKind = Literal["github", "gitlab", "gitea", "forgejo"]
FORGE_KINDS: tuple[ForgeKind, ...] = get_args(ForgeKind)

_API_PATHS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1", "forgejo": "/api/v1"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ForgeRepository:
    """A repository on a forge.

    Attributes:
        kind: Of the forge.
        api_url: The base of its REST API, without a slash at the end.
        path: `OWNER/NAME`; on GitLab there may be groups within groups.
    """

    kind: ForgeKind
    api_url: str
    path: str

    @property
    def host(self) -> str:
        """The host of the API, for messages."""
        return urlsplit(self.api_url).netloc

    @property
    def owner(self) -> str:
        """The user, organization or group that has the repository."""
        return self.path.rpartition("/")[0]


def locate_repository(kind: str, remote: GitRemote, api_url: str = "") -> ForgeRepository:
    """Return where the API of a repository's forge is.

    Args:
        kind: One of `FORGE_KINDS`.
        remote: The address of the repository for git.
        api_url: Base of the API, where it is not at the usual place: a forge under a path prefix, another host.

    Raises:
        ParameterError: the kind is unknown, the repository is a folder, or its path is not one of that forge.
    """
    if kind not in FORGE_KINDS:
        raise ParameterError(describe_unknown_choice("the kind of the forge", kind, FORGE_KINDS))
    if remote.origin is None:
        raise ParameterError(
            f"{remote.url} is a folder, and pull requests need a forge; give the https:// URL of the repository."
        )
    url = urlsplit(remote.url)
    api_url = _check_api_url(api_url) if api_url else _default_api_url(kind, url.netloc)
    path = url.path
    api = urlsplit(api_url)
    if api.netloc == url.netloc and (prefix := api.path.removesuffix(_API_PATHS[kind])):
        path = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
    parts = [part for part in path.strip("/").removesuffix(".git").split("/") if part]
    if len(parts) < 2 or (len(parts) > 2 and kind != "gitlab"):
        wanted = "GROUP/PROJECT, with any number of groups" if kind == "gitlab" else "OWNER/REPOSITORY"
        raise ParameterError(
            f"the path of {remote.url} is not {wanted}; check it, and if {kind} is under a path prefix there, "
            f"give the address of its API, such as https://{url.netloc}/PREFIX{_API_PATHS[kind]}."
        )
    return ForgeRepository(kind, api_url, "/".join(parts))


def _default_api_url(kind: ForgeKind, netloc: str) -> str:
    # github.com and the tenants of GitHub Enterprise Cloud have hosts of their own for the API
    if kind == "github" and (netloc in ("github.com", "www.github.com") or netloc.endswith(".ghe.com")):
        return f"https://api.{netloc.removeprefix('www.')}"
    return f"https://{netloc}{_API_PATHS[kind]}"


def _check_api_url(text: str) -> str:
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in ("https", "http") or not host or "@" in url.netloc or url.query or url.fragment:
        raise ParameterError(
            f"the address of the forge's API{f' on {host}' if host else ''} must be https://HOST/PATH, "
            "without credentials or a query."
        )
    if url.scheme == "http" and host not in _LOOPBACK:
        raise ParameterError(f"http://{url.netloc} would send the token unencrypted; give https://{url.netloc}.")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
