"""How a proposal becomes one pull request, on any forge; what differs between forges is in their adapters."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kfp_edge.errors import ForgeError
from kfp_edge.forges.connection import Connection, ForgeRequest
from kfp_edge.forges.forge import Outcome, Proposal, ProposedChange, PullRequest, PullRequestState
from kfp_edge.forges.refusals import Purpose
from kfp_edge.forges.texts import fit_body, fit_title

#: How often something is looked at that the forge is still computing.
CHECKS = 6
#: Seconds before the second look; each later pause is twice as long.
FIRST_CHECK_PAUSE = 0.5
#: Invisible in rendered Markdown. Distinguishes a pull request that `close` closed from one that a person closed.
CLOSED_MARKER = "\n\n<!-- closed by kfp-edge -->"
#: A request from a branch into itself, which every forge refuses once it has found that the token may open one.
ACCESS_CHECK_TITLE = "kfp-edge: access check"


@dataclass(frozen=True)
class Edit:
    """What is to be changed in an open pull request; None leaves a field as it is."""

    title: str | None = None
    body: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class Reviewers:
    """Names of users, and of teams without their organization."""

    users: tuple[str, ...]
    teams: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.users or self.teams)


class RestForge(ABC):
    """A forge with a REST API: implements `Forge` by the operations that an adapter provides."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._profile = connection.profile
        self._repository = connection.repository

    def find(self, branch: str) -> PullRequest | None:
        """Return the pull request of a head branch: the open one, else the newest one; None if there was none.

        Raises:
            ForgeError: the forge refuses or fails.
        """
        return self._find(branch, "")

    def propose(self, proposal: Proposal) -> ProposedChange:
        """Open a pull request, or update the open one of its head branch; see `Forge.propose`.

        Raises:
            ForgeError: the forge refuses or fails.
        """
        current = self._find(proposal.branch, proposal.base)
        if current is None or (current.state is PullRequestState.CLOSED and CLOSED_MARKER.strip() in current.body):
            return self._open(proposal)
        match current.state:
            case PullRequestState.OPEN:
                return self._update(current, proposal)
            case PullRequestState.CLOSED:
                return ProposedChange(Outcome.CLOSED, current)
            case PullRequestState.MERGED:
                head = self._branch_commit(proposal.branch)
                if head is None or head == self._proposed_commit(current):
                    return ProposedChange(Outcome.MERGED, current)
                return self._open(proposal)

    def merge(self, number: int, head_commit: str = "") -> None:
        """Merge a pull request; see `Forge.merge`.

        Raises:
            ForgeError: it was closed, has another commit than the one reviewed, or the forge refuses or fails.
        """
        current = self._get(number)
        if current.state is PullRequestState.MERGED:
            return
        self._check_mergeable(current, head_commit)
        try:
            self._when_decided(number, lambda: self._merge(current))
        except ForgeError:
            # an attempt whose answer was lost, or another client
            if self._get(number).state is not PullRequestState.MERGED:
                raise

    def close(self, number: int, comment: str = "") -> None:
        """Close an open pull request without merging it; see `Forge.close`.

        Raises:
            ForgeError: the forge refuses or fails.
        """
        current = self._get(number)
        if current.state is not PullRequestState.OPEN:
            return
        self._close(number, fit_body(current.body, self._profile.body_limit, CLOSED_MARKER))
        if comment:
            self.comment(number, comment)

    def comment(self, number: int, body: str) -> None:
        """Write a comment.

        Raises:
            ForgeError: the forge refuses or fails.
        """
        text = fit_body(body, self._profile.body_limit)
        purpose = Purpose(f"comment on pull request {number}")
        path = self._comments_path(number)
        self._connection.send(ForgeRequest("POST", path, purpose, body={"body": text}, is_repeatable=False))

    @abstractmethod
    def check_access(self) -> None:
        """Check, without a change, that the token may open pull requests.

        Raises:
            ForgeError: it may not, or the forge cannot be reached; one sentence says what to do.
        """

    def _check_creation(self, path: str, body: Mapping[str, object]) -> None:
        """Ask for a pull request that is not valid, which a forge finds only after it has looked at the token."""
        try:
            self._connection.send(ForgeRequest("POST", path, Purpose("open a pull request"), body=body))
        except ForgeError as error:
            if error.status not in (400, 409, 422):
                raise

    @abstractmethod
    def _comments_path(self, number: int) -> str:
        """Return the path of the comments of a pull request."""

    @abstractmethod
    def _find(self, branch: str, base: str) -> PullRequest | None:
        """Return what `find` returns; `base`, if given, is where it is probably to be merged."""

    @abstractmethod
    def _list_open(self, branch: str) -> list[PullRequest]:
        """Return the open pull requests of a head branch of this repository, not of a fork."""

    @abstractmethod
    def _get(self, number: int) -> PullRequest:
        """Return a pull request by its number."""

    @abstractmethod
    def _create(self, proposal: Proposal, title: str, body: str) -> tuple[PullRequest, tuple[str, ...]]:
        """Open a pull request; return it with warnings."""

    @abstractmethod
    def _is_duplicate(self, error: ForgeError) -> bool:
        """Whether `_create` failed because the branch has an open pull request."""

    @abstractmethod
    def _edit(self, current: PullRequest, edit: Edit) -> None:
        """Change a pull request."""

    @abstractmethod
    def _close(self, number: int, body: str) -> None:
        """Close a pull request and replace its body."""

    @abstractmethod
    def _merge(self, current: PullRequest) -> None:
        """Merge a pull request if its branch still has its head commit."""

    @abstractmethod
    def _is_undecided(self, number: int, error: ForgeError) -> bool:
        """Whether a merge was refused because the forge does not know yet whether it is possible."""

    @abstractmethod
    def _branch_commit(self, branch: str) -> str | None:
        """Return the head commit of a branch, None if there is no such branch."""

    def _proposed_commit(self, merged: PullRequest) -> str:
        """Return the last commit that a merged pull request proposed."""
        return merged.head_commit

    @abstractmethod
    def _add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Add labels to a pull request; create those that the repository lacks."""

    @abstractmethod
    def _missing_reviewers(self, number: int, wanted: Reviewers) -> Reviewers:
        """Return those who have neither been asked for a review nor given one."""

    @abstractmethod
    def _request_reviewers(self, number: int, reviewers: Reviewers) -> list[str]:
        """Ask for reviews; return a sentence for each reviewer that the forge refuses."""

    @abstractmethod
    def _enable_auto_merge(self, number: int, base: str) -> bool:
        """Let the forge merge a pull request as soon as it may; return whether that was not so before."""

    def _open(self, proposal: Proposal) -> ProposedChange:
        title, body = self._fit(proposal)
        try:
            created, warnings = self._create(proposal, title, body)
        except ForgeError as error:
            if not self._is_duplicate(error):
                raise
            return self._update(self._wait_for_open(proposal, error), proposal)
        # where a forge does not prevent it, two runs at the same time have opened one each: all keep the first
        first = min(self._list_open(proposal.branch), key=_number, default=created)
        if first.number < created.number:
            self.close(created.number, f"Another run opened pull request {first.number} for this branch before.")
            return self._update(first, proposal)
        warnings += self._complete(created, proposal, is_new=True)[1]
        return ProposedChange(Outcome.CREATED, self._get(created.number), warnings)

    def _wait_for_open(self, proposal: Proposal, error: ForgeError) -> PullRequest:
        """Return the pull request that is in the way of a new one, which another run may be opening just now."""
        for attempt in range(CHECKS):
            if rival := choose(self._list_open(proposal.branch), proposal.base):
                return rival
            time.sleep(FIRST_CHECK_PAUSE * 2**attempt)
        raise error

    def _update(self, current: PullRequest, proposal: Proposal) -> ProposedChange:
        title, body = self._fit(proposal)
        edit = Edit(
            title=None if current.title == title else title,
            body=None if _is_same_text(current.body, body) else body,
            base=None if current.base == proposal.base else proposal.base,
        )
        is_changed = edit != Edit()
        if is_changed:
            self._edit(current, edit)
        is_completed, warnings = self._complete(current, proposal, is_new=False)
        if not (is_changed or is_completed):
            return ProposedChange(Outcome.UNCHANGED, current, warnings)
        return ProposedChange(Outcome.UPDATED, self._get(current.number), warnings)

    def _when_decided(self, number: int, merge: Callable[[], None]) -> None:
        """Merge a pull request, again while the forge does not know yet whether that is possible."""
        for attempt in range(CHECKS):
            try:
                merge()
            except ForgeError as error:
                if attempt == CHECKS - 1 or not self._is_undecided(number, error):
                    raise
            else:
                return
            time.sleep(FIRST_CHECK_PAUSE * 2**attempt)

    def _complete(self, current: PullRequest, proposal: Proposal, *, is_new: bool) -> tuple[bool, tuple[str, ...]]:
        """Add labels, reviewers and auto-merge; return whether something was missing, and warnings.

        The pull request is there, so what the forge refuses of these is no failure.
        """
        warnings: list[str] = []
        present = {label.casefold() for label in current.labels}
        labels = [label for label in proposal.labels if label.casefold() not in present]
        number = current.number

        def add_labels() -> bool:
            self._add_labels(number, labels)
            return True

        def request_reviewers() -> bool:
            wanted, refused = self._split_reviewers(proposal.reviewers)
            warnings.extend(refused)
            missing = wanted if is_new else self._missing_reviewers(number, wanted)
            if not missing:
                return False
            refused = self._request_reviewers(number, missing)
            warnings.extend(refused)
            return len(refused) < len(missing.users) + len(missing.teams)

        steps: list[Callable[[], bool]] = [add_labels] if labels else []
        steps += [request_reviewers] if proposal.reviewers else []
        if proposal.auto_merge and not current.draft:
            steps.append(lambda: self._enable_auto_merge(number, proposal.base))
        is_changed = False
        for step in steps:
            try:
                is_changed = step() or is_changed
            except ForgeError as error:
                warnings.append(str(error))
        return is_changed, tuple(warnings)

    def _split_reviewers(self, names: Sequence[str]) -> tuple[Reviewers, list[str]]:
        """Return the reviewers by kind, and a sentence for each team that cannot review in this repository."""
        plain = [name.strip().removeprefix("@") for name in names]
        users = tuple(name for name in plain if "/" not in name)
        teams, refused = [], []
        for name in (name for name in plain if "/" in name):
            organization, _, team = name.rpartition("/")
            if organization.casefold() == self._repository.owner.casefold():
                teams.append(team)
            else:
                refused.append(
                    f"the team {name} cannot review in {self._repository.path}; "
                    f"name one of {self._repository.owner}, as {self._repository.owner}/TEAM."
                )
        return Reviewers(users, tuple(teams)), refused

    def _check_mergeable(self, current: PullRequest, head_commit: str) -> None:
        if current.state is PullRequestState.CLOSED:
            raise ForgeError(f"pull request {current.number} ({current.url}) is closed; reopen it before it is merged.")
        if head_commit and current.head_commit != head_commit:
            raise ForgeError(
                f"pull request {current.number} ({current.url}) now proposes the commit {current.head_commit[:12]}, "
                f"not {head_commit[:12]}, which was reviewed; review it again.",
            )

    def _fit(self, proposal: Proposal) -> tuple[str, str]:
        """Return title and body within the limits of the forge."""
        # room for the prefix of a draft
        title = fit_title(proposal.title, self._profile.title_limit - 10)
        return title, fit_body(proposal.body, self._profile.body_limit)


def choose(requests: Sequence[PullRequest], base: str = "") -> PullRequest | None:
    """Return one of a branch's pull requests: the open one, the first should there be several, else the newest one.

    Of several open ones, one into `base` is preferred: none of the others can be moved there.
    """
    is_open = [request for request in requests if request.state is PullRequestState.OPEN]
    if is_open:
        return min(is_open, key=lambda request: (request.base != base, request.number))
    return max(requests, key=_number, default=None)


def _number(request: PullRequest) -> int:
    return request.number


def _is_same_text(one: str, other: str) -> bool:
    """Whether two bodies are the same but for what forges change in them: line ends, and white space at the ends."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
