"""The part of their REST APIs that GitHub and Gitea have in common."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel

from kfp_edge.errors import ForgeError
from kfp_edge.forges.connection import Connection, ForgeRequest
from kfp_edge.forges.forge import Proposal, PullRequest, PullRequestState
from kfp_edge.forges.refusals import Purpose
from kfp_edge.forges.rest_forge import ACCESS_CHECK_TITLE, Edit, RestForge, Reviewers

R = TypeVar("R", bound="Repository")


class RepositoryName(BaseModel):
    """A repository of a branch."""

    full_name: str


class Head(BaseModel):
    """One of the two branches of a pull request; the repository of a deleted fork is null."""

    ref: str
    sha: str = ""
    repo: RepositoryName | None = None


class Named(BaseModel):
    """A label or a team."""

    name: str


class User(BaseModel):
    """A user."""

    login: str


class Pull(BaseModel):
    """A pull request, as in a list."""

    number: int
    html_url: str
    title: str
    body: str | None = None
    state: str
    merged_at: AwareDatetime | None = None
    draft: bool = False
    head: Head
    base: Head
    labels: list[Named] | None = None
    requested_reviewers: list[User] | None = None


class Permissions(BaseModel):
    """What the user of the token may do in a repository."""

    push: bool


class Repository(BaseModel):
    """A repository."""

    default_branch: str
    archived: bool
    permissions: Permissions | None = None


class _Review(BaseModel):
    user: User | None = None
    team: Named | None = None


class PullsForge(RestForge):
    """GitHub, Gitea or Forgejo."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._path = f"repos/{quote(self._repository.path)}"

    def check_access(self) -> None:
        """Check, without a change, that the token may open pull requests.

        Raises:
            ForgeError: it may not, or the forge cannot be reached; one sentence says what to do.
        """
        repository = self._read_repository(Repository)
        where = f"{self._repository.path} on {self._repository.host}"
        if repository.archived:
            raise ForgeError(f"{where} is archived, so it takes no pull requests; name another repository.")
        self._check_features()
        if repository.permissions is not None and not repository.permissions.push:
            raise ForgeError(
                f"the owner of the token may only read {where}; give it a role that may write, "
                f"and the token {self._profile.scopes}."
            )
        branch = repository.default_branch
        body = {"title": ACCESS_CHECK_TITLE, "head": branch, "base": branch}
        self._check_creation(f"{self._path}/pulls", body)

    def _check_features(self) -> None:
        """Raise a ForgeError if pull requests are switched off in the repository."""

    def _creation_sentences(self, proposal: Proposal) -> Mapping[int, str]:
        """Return what a status means when a pull request is opened, where it is not its usual meaning."""
        return {}

    def _comments_path(self, number: int) -> str:
        return f"{self._path}/issues/{number}/comments"

    def _title(self, pull: Pull) -> str:
        """Return the title without what marks a draft."""
        return pull.title

    def _to_pull_request(self, pull: Pull) -> PullRequest:
        """Return a pull request from the forge's own form."""
        return PullRequest(
            number=pull.number,
            url=pull.html_url,
            branch=pull.head.ref,
            base=pull.base.ref,
            state=_state_of(pull),
            title=self._title(pull),
            body=pull.body or "",
            labels=tuple(label.name for label in pull.labels or []),
            draft=pull.draft,
            head_commit=pull.head.sha,
            merged_at=pull.merged_at,
        )

    @abstractmethod
    def _requested_teams(self, number: int) -> set[str]:
        """Return the names of the teams that were asked for a review, in lower case."""

    def _get(self, number: int) -> PullRequest:
        return self._to_pull_request(self._connection.read(Pull, self._pull_request(number)))

    def _pull_request(self, number: int) -> ForgeRequest:
        return ForgeRequest("GET", f"{self._path}/pulls/{number}", Purpose(f"read pull request {number}"))

    def _read_repository(self, model: type[R]) -> R:
        return self._connection.read(model, ForgeRequest("GET", self._path, Purpose("read the repository")))

    def _is_own_branch(self, head: Head, branch: str) -> bool:
        """Whether a pull request is of this branch here, not of one with the same name in a fork."""
        is_here = head.repo is not None and head.repo.full_name.casefold() == self._repository.path.casefold()
        return is_here and head.ref == branch

    def _post_pull(self, proposal: Proposal, title: str, body: str, **options: object) -> PullRequest:
        request = ForgeRequest(
            "POST",
            f"{self._path}/pulls",
            Purpose(f"open a pull request for {proposal.branch}", self._creation_sentences(proposal)),
            body={"title": title, "body": body, "head": proposal.branch, "base": proposal.base, **options},
        )
        return self._to_pull_request(self._connection.read(Pull, request))

    def _patch(self, number: int, action: str, **changes: object) -> None:
        purpose = Purpose(f"{action} pull request {number}")
        self._connection.send(ForgeRequest("PATCH", f"{self._path}/pulls/{number}", purpose, body=changes))

    def _edit(self, current: PullRequest, edit: Edit) -> None:
        changes = {"title": edit.title, "body": edit.body, "base": edit.base}
        self._patch(current.number, "update", **{name: value for name, value in changes.items() if value is not None})

    def _close(self, number: int, body: str) -> None:
        self._patch(number, "close", state="closed", body=body)

    def _missing_reviewers(self, number: int, wanted: Reviewers) -> Reviewers:
        pull = self._connection.read(Pull, self._pull_request(number))
        users = {user.login.casefold() for user in pull.requested_reviewers or []}
        teams = self._requested_teams(number)
        purpose = Purpose(f"read the reviews of pull request {number}")
        request = ForgeRequest("GET", f"{self._path}/pulls/{number}/reviews", purpose)
        reviews = list(self._connection.read_pages(_Review, request))
        users |= {review.user.login.casefold() for review in reviews if review.user is not None}
        teams |= {review.team.name.casefold() for review in reviews if review.team is not None}
        return Reviewers(
            tuple(name for name in wanted.users if name.casefold() not in users),
            # the review of a member answers for the team, which is then no longer asked
            () if reviews else tuple(name for name in wanted.teams if name.casefold() not in teams),
        )

    def _request_reviewers(self, number: int, reviewers: Reviewers) -> list[str]:
        try:
            self._post_reviewers(number, reviewers)
            return []
        except ForgeError as error:
            if error.status not in (404, 422):
                raise
            single = [Reviewers((name,), ()) for name in reviewers.users]
            single += [Reviewers((), (name,)) for name in reviewers.teams]
            if len(single) == 1:
                return [str(error)]
        # one unknown name refuses all
        return [sentence for one in single for sentence in self._request_reviewers(number, one)]

    def _post_reviewers(self, number: int, reviewers: Reviewers) -> None:
        names = ", ".join([*reviewers.users, *(f"{self._repository.owner}/{team}" for team in reviewers.teams)])
        refusal = (
            f"{self._repository.host} does not ask {names} for a review of pull request {number}: check the name, "
            f"that it has access to {self._repository.path}, and that it is not the author"
        )
        request = ForgeRequest(
            "POST",
            f"{self._path}/pulls/{number}/requested_reviewers",
            Purpose(f"ask {names} for a review of pull request {number}", {404: refusal, 422: refusal}),
            body={"reviewers": list(reviewers.users), "team_reviewers": list(reviewers.teams)},
        )
        self._connection.send(request)

    def _post_labels(self, number: int, labels: Sequence[str | int]) -> None:
        purpose = Purpose(f"label pull request {number}")
        path = f"{self._path}/issues/{number}/labels"
        self._connection.send(ForgeRequest("POST", path, purpose, body={"labels": list(labels)}))


def _state_of(pull: Pull) -> PullRequestState:
    """Return the state of a pull request."""
    if pull.merged_at:
        return PullRequestState.MERGED
    return PullRequestState.OPEN if pull.state == "open" else PullRequestState.CLOSED
