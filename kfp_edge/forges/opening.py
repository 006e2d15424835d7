"""Which adapter is the forge of a repository."""

from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.forges.credentials import check_ca_file, read_ca_file, read_forge_token
from kfp_edge.forges.forge import Forge
from kfp_edge.forges.repository import ForgeRepository, locate_repository
from kfp_edge.git.remote import GitRemote


def open_forge(
    kind: str, remote: GitRemote, *, api_url: str = "", token: str = "", ca_file: Path | None = None
) -> Forge:
    """Return the forge of a repository; nothing is sent.

    Args:
        kind: `github`, `gitlab`, `gitea` or `forgejo`: a self-hosted forge cannot be recognized by its URL.
        remote: The address of the repository for git, an `https://` URL.
        api_url: Base of the forge's API, where it is not at the usual place.
        token: The access token; by default that of the environment.
        ca_file: CA certificates (PEM) of the forge; by default that of the environment, else the public ones.

    Raises:
        ParameterError: the kind is unknown, the address is none of that forge, or there is no token.
    """
    repository = locate_repository(kind, remote, api_url)
    token = token or read_forge_token()
    if not token.isascii() or not token.isprintable():
        raise ParameterError("the token of the forge must be one line of printable ASCII text.")
    file = read_ca_file() if ca_file is None else check_ca_file("ca_file", ca_file)
    return _adapter(repository, token, file)


def _adapter(repository: ForgeRepository, token: str, ca_file: Path | None) -> Forge:
    # a third of the time in which `fleet render` starts, and it asks no forge
    from kfp_edge.forges.gitea import GiteaForge
    from kfp_edge.forges.github import GitHubForge
    from kfp_edge.forges.gitlab import GitLabForge

    match repository.kind:
        case "github":
            return GitHubForge(repository, token, ca_file)
        case "gitlab":
            return GitLabForge(repository, token, ca_file)
        case "gitea" | "forgejo":
            return GiteaForge(repository, token, ca_file)
