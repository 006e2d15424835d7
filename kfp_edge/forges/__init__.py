"""Pull requests on GitHub, GitLab, Gitea and Forgejo, behind one small port (`Forge`) with an adapter each.

- `open_forge` returns the forge of a repository. The kind is given; the address of the API follows from the address for
  git, or is given.
- `KFP_EDGE_FORGE_TOKEN`, or `KFP_EDGE_FORGE_TOKEN_FILE` with the name of a file that contains it, is the access token;
  without it, that of git (`kfp_edge.git`). It is only sent to the forge's own API, and is never part of a URL, a log or
  an error.
- `KFP_EDGE_FORGE_CA_FILE`, else `KFP_EDGE_GIT_CA_FILE`, is the CA certificate (PEM) of the server.
- Pull requests are those from a branch of a repository into another one of the same repository. Forks may have branches
  of the same name: theirs are left alone.
"""

from kfp_edge.forges.forge import (
    Forge,
    Outcome,
    Proposal,
    ProposedChange,
    PullRequest,
    PullRequestState,
    describe_change,
)
from kfp_edge.forges.opening import open_forge
from kfp_edge.forges.repository import FORGE_KINDS, ForgeKind

__all__ = [
    "FORGE_KINDS",
    "Forge",
    "ForgeKind",
    "Outcome",
    "Proposal",
    "ProposedChange",
    "PullRequest",
    "PullRequestState",
    "describe_change",
    "open_forge",
]
