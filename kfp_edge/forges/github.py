"""GitHub, also GitHub Enterprise."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from kfp_edge.errors import ForgeError
from kfp_edge.forges.connection import Connection, ForgeRequest
from kfp_edge.forges.forge import Proposal, PullRequest
from kfp_edge.forges.pulls_api import Pull, PullsForge, Repository
from kfp_edge.forges.refusals import ForgeProfile, Purpose
from kfp_edge.forges.repository import ForgeRepository
from kfp_edge.forges.rest_forge import choose

PROFILE = ForgeProfile(
    name="GitHub",
    scopes="the permissions `Pull requests: read and write` and `Contents: read and write` (a classic token: `repo`)",
    title_limit=256,
    body_limit=65_536,
)
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_AUTO_MERGE = """\
mutation($id: ID!, $method: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: $method}) { clientMutationId }
}"""


class _Repository(Repository):
    allow_merge_commit: bool = True
    allow_squash_merge: bool = False
    allow_rebase_merge: bool = False

    @property
    def merge_method(self) -> str:
        """The first method that the repository allows."""
        if self.allow_merge_commit:
            return "merge"
        return "squash" if self.allow_squash_merge else "rebase"


class _Team(BaseModel):
    slug: str


class _Pull(Pull):
    node_id: str
    mergeable: bool | None = None
    auto_merge: dict[str, object] | None = None
    requested_teams: list[_Team] | None = None


class _Commit(BaseModel):
    sha: str


class _Branch(BaseModel):
    commit: _Commit


class _GraphqlError(BaseModel):
    message: str


class _GraphqlAnswer(BaseModel):
    errors: list[_GraphqlError] = []


class GitHubForge(PullsForge):
    """The pull requests of a repository on GitHub."""

    def __init__(self, repository: ForgeRepository, token: str, ca_file: Path | None = None) -> None:
        super().__init__(Connection(PROFILE, repository, token, headers=_HEADERS, ca_file=ca_file))

    def _find(self, branch: str, base: str) -> PullRequest | None:
        return choose(self._list(branch, "all"), base)

    def _list_open(self, branch: str) -> list[PullRequest]:
        return self._list(branch, "open")

    def _list(self, branch: str, state: str) -> list[PullRequest]:
        request = ForgeRequest(
            "GET",
            f"{self._path}/pulls",
            Purpose("list the pull requests"),
            {"head": f"{self._repository.owner}:{branch}", "state": state, "per_page": 100},
        )
        pulls = self._connection.read_pages(Pull, request)
        return [self._to_pull_request(pull) for pull in pulls if self._is_own_branch(pull.head, branch)]

    def _create(self, proposal: Proposal, title: str, body: str) -> tuple[PullRequest, tuple[str, ...]]:
        try:
            return self._post_pull(proposal, title, body, draft=proposal.draft), ()
        except ForgeError as error:
            # private repositories of some plans have none
            if not (proposal.draft and error.status == 422 and "draft" in error.reason.lower()):
                raise
            warning = (
                f"{self._repository.path} takes no drafts ({error.reason}), so the pull request is an ordinary one."
            )
            return self._post_pull(proposal, title, body, draft=False), (warning,)

    def _is_duplicate(self, error: ForgeError) -> bool:
        return error.status == 422 and "already exists" in error.reason

    def _branch_commit(self, branch: str) -> str | None:
        request = ForgeRequest("GET", f"{self._path}/branches/{quote(branch)}", Purpose(f"read {branch}"))
        head = self._connection.read_optional(_Branch, request)
        return None if head is None else head.commit.sha

    def _merge(self, current: PullRequest) -> None:
        request = ForgeRequest(
            "PUT",
            f"{self._path}/pulls/{current.number}/merge",
            Purpose(f"merge pull request {current.number}"),
            body={"sha": current.head_commit, "merge_method": self._read_repository(_Repository).merge_method},
        )
        self._connection.send(request)

    def _is_undecided(self, number: int, error: ForgeError) -> bool:
        if error.status != 405:
            return False
        is_computing = self._connection.read(_Pull, self._pull_request(number)).mergeable is None
        return is_computing or "Base branch was modified" in error.reason

    def _add_labels(self, number: int, labels: Sequence[str]) -> None:
        self._post_labels(number, labels)

    def _requested_teams(self, number: int) -> set[str]:
        pull = self._connection.read(_Pull, self._pull_request(number))
        return {team.slug.casefold() for team in pull.requested_teams or []}

    def _enable_auto_merge(self, number: int, base: str) -> bool:
        pull = self._connection.read(_Pull, self._pull_request(number))
        if pull.auto_merge is not None:
            return False
        method = self._read_repository(_Repository).merge_method.upper()
        request = ForgeRequest(
            "POST",
            _graphql_url(self._repository.api_url),
            Purpose(f"enable auto-merge of pull request {number}"),
            body={"query": _AUTO_MERGE, "variables": {"id": pull.node_id, "method": method}},
        )
        answer = self._connection.read(_GraphqlAnswer, request)
        if answer.errors:
            reason = "; ".join(error.message.rstrip(".") for error in answer.errors)
            raise ForgeError(
                f"auto-merge of pull request {number} is not enabled ({reason}): the repository has to allow it in its "
                f"settings, and the rules of {base} have to require a review or a check for which GitHub waits."
            )
        return True


def _graphql_url(api_url: str) -> str:
    """Return the address of the GraphQL API: /graphql on GitHub.com, beside /v3 on GitHub Enterprise Server."""
    return f"{api_url.removesuffix('/v3')}/graphql"
