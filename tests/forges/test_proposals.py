"""A proposal becomes one pull request, which later runs update."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kfp_edge.errors import ForgeError, ParameterError
from kfp_edge.forges import Outcome, Proposal, PullRequestState, describe_change
from support.fake_forges import only
from support.fake_forges.gitea import WORK_IN_PROGRESS
from support.git_repositories import git, push_from_another_clone

BRANCH = "kfp-edge/press/1.4.0"


def test_a_proposal_opens_a_pull_request_from_its_branch(case, proposal):
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.CREATED
    assert change.warnings == ()
    request = change.pull_request
    assert (request.number, request.branch, request.base) == (1, BRANCH, "main")
    assert (request.title, request.body) == (proposal.title, proposal.body)
    assert request.state is PullRequestState.OPEN
    assert request.head_commit == case.repository.commit_of(BRANCH)
    assert request.url.startswith(f"https://127.0.0.1:{case.server.server_port}/plant/")
    assert not request.draft


def test_the_same_proposal_again_changes_nothing(case, proposal):
    proposal = replace(proposal, labels=("ring: canary", "kfp-edge"), reviewers=("ada", "grace"))
    created = case.forge.propose(proposal)
    case.repository.requests.clear()
    again = case.forge.propose(proposal)
    assert again.outcome is Outcome.UNCHANGED
    assert again.pull_request == created.pull_request
    assert case.sent() == []


@pytest.mark.parametrize("change", [{"title": "feat: other"}, {"body": "new metrics"}, {"base": "next"}])
def test_what_changed_in_a_proposal_changes_in_the_open_pull_request(case, proposal, change):
    push_from_another_clone(case.repository.folder, "next", {"a": "b"}, start="origin/main")
    case.forge.propose(proposal)
    updated = case.forge.propose(replace(proposal, **change))
    assert updated.outcome is Outcome.UPDATED
    assert len(case.repository.pulls) == 1
    for name, value in change.items():
        assert getattr(updated.pull_request, name) == value


def test_a_new_commit_on_the_branch_belongs_to_the_open_pull_request(case, proposal):
    case.forge.propose(proposal)
    commit = case.push("digest: 2\n")
    assert case.forge.propose(proposal).pull_request.head_commit == commit
    assert len(case.repository.pulls) == 1


def test_a_branch_that_was_force_pushed_keeps_its_pull_request(case, proposal):
    case.forge.propose(proposal)
    other = push_from_another_clone(case.repository.folder, "other", {"a": "b"}, start="origin/main")
    git(case.repository.folder, "update-ref", f"refs/heads/{BRANCH}", other)
    assert case.forge.propose(proposal).pull_request.head_commit == other
    assert len(case.repository.pulls) == 1


def test_labels_are_created_and_added_and_those_of_people_stay(case, proposal):
    case.repository.labels += ["urgent", "Ring: canary"]
    case.forge.propose(proposal)
    case.repository.pull(1).labels.append("urgent")
    change = case.forge.propose(replace(proposal, labels=("ring: canary", "kfp-edge")))
    assert change.outcome is Outcome.UPDATED
    assert {label.lower() for label in change.pull_request.labels} == {"urgent", "ring: canary", "kfp-edge"}


def test_labels_on_later_pages_are_not_created_again(case, proposal):
    case.repository.page_limit = 2
    case.repository.labels += ["a", "b", "c", "d", "e"]
    case.forge.propose(replace(proposal, labels=("e",)))
    assert case.repository.labels == ["a", "b", "c", "d", "e"]
    assert case.repository.pull(1).labels == ["e"]


def test_reviewers_are_asked_once(case, proposal):
    proposal = replace(proposal, reviewers=("ada", "@grace"))
    case.forge.propose(proposal)
    assert case.repository.pull(1).reviewers == ["ada", "grace"]


@only("github", "gitea")  # on GitLab a reviewer stays one
def test_a_reviewer_who_has_answered_is_not_asked_again(case, proposal):
    proposal = replace(proposal, reviewers=("ada", "grace"))
    case.forge.propose(proposal)
    case.repository.approve(1, "ada")
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED
    assert case.repository.pull(1).reviewers == ["grace"]


@only("github", "gitea")
def test_a_team_is_asked_once(case, proposal):
    proposal = replace(proposal, reviewers=("plant/line-4",))
    assert case.forge.propose(proposal).warnings == ()
    assert case.repository.pull(1).teams == ["line-4"]
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED


@only("gitlab")
def test_where_groups_cannot_review_the_warning_says_what_to_do(case, proposal):
    change = case.forge.propose(replace(proposal, reviewers=("plant/line-4",)))
    assert change.warnings == (
        "GitLab asks no groups such as plant/line-4 for reviews; name users, or give the group an approval rule.",
    )


@only("github")
def test_a_label_that_is_too_long_costs_one_sentence(case, proposal):
    change = case.forge.propose(replace(proposal, labels=("x" * 51,)))
    assert change.outcome is Outcome.CREATED
    assert len(change.warnings) == 1
    assert "refuses to label pull request 1 in plant/" in change.warnings[0]
    assert "name is invalid" in change.warnings[0]


@only("gitlab")
def test_a_label_that_the_forge_cannot_have_costs_no_other_label(case, proposal):
    change = case.forge.propose(replace(proposal, labels=("press", "a,b")))
    assert change.pull_request.labels == ("press",)
    assert change.warnings == ("GitLab has no labels with a comma; give 'a,b' another name.",)


@pytest.mark.parametrize("name", ["nobody", "linus", "plant/line-9", "other/line-4", "kfp-bot"])
def test_a_reviewer_who_is_unknown_costs_one_sentence_and_no_other_reviewer(case, proposal, name):
    change = case.forge.propose(replace(proposal, reviewers=("ada", name)))
    assert change.outcome is Outcome.CREATED
    assert len(change.warnings) == 1
    assert name in change.warnings[0]
    assert case.repository.pull(1).reviewers == ["ada"]


@only("gitlab")
def test_an_edition_with_one_reviewer_says_who_was_left_out(case, proposal):
    case.repository.most_reviewers = 1
    change = case.forge.propose(replace(proposal, reviewers=("ada", "grace")))
    assert len(change.warnings) == 1
    assert "did not take grace as a reviewer" in change.warnings[0]


def test_a_draft_is_opened_as_one_and_remains_what_people_make_of_it(case, proposal):
    draft = replace(proposal, draft=True)
    created = case.forge.propose(draft)
    assert created.pull_request.draft
    assert created.pull_request.title == proposal.title
    assert "as a draft" in describe_change(created)
    assert case.forge.propose(draft).outcome is Outcome.UNCHANGED
    renamed = case.forge.propose(replace(draft, title="feat: other"))
    assert (renamed.pull_request.draft, renamed.pull_request.title) == (True, "feat: other")
    pull = case.repository.pull(1)
    pull.draft, pull.title = False, "feat: other"
    assert not case.forge.propose(replace(draft, title="feat: third")).pull_request.draft


@only("github")
def test_a_repository_without_drafts_gets_an_ordinary_pull_request_and_says_so(case, proposal):
    case.repository.allows_drafts = False
    change = case.forge.propose(replace(proposal, draft=True))
    assert not change.pull_request.draft
    assert "takes no drafts" in change.warnings[0]


@only("gitea")
def test_a_server_with_other_prefixes_of_drafts_says_that_it_is_none(case, proposal):
    case.server.draft_prefixes = ("Draft:",)
    change = case.forge.propose(replace(proposal, draft=True))
    case.server.draft_prefixes = WORK_IN_PROGRESS
    assert not change.pull_request.draft
    assert "does not take a title with WIP: for a draft" in change.warnings[0]


def test_one_that_a_person_closed_is_neither_reopened_nor_opened_again(case, proposal):
    case.forge.propose(proposal)
    case.repository.pull(1).state = "closed"
    case.push("digest: 2\n")
    case.repository.requests.clear()
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.CLOSED
    assert case.sent() == []
    assert [pull.state for pull in case.repository.pulls] == ["closed"]
    sentence = describe_change(change)
    assert "was closed by a person without being merged, so nothing was proposed again" in sentence
    assert change.pull_request.url in sentence


def test_one_that_a_person_reopened_is_updated_again(case, proposal):
    case.forge.propose(proposal)
    case.repository.pull(1).state = "closed"
    case.forge.propose(proposal)
    case.repository.pull(1).state = "open"
    assert case.forge.propose(replace(proposal, title="feat: other")).outcome is Outcome.UPDATED


def test_one_that_we_closed_ourselves_is_opened_again(case, proposal):
    case.forge.propose(proposal)
    case.forge.close(1, "The ring before is not healthy.")
    assert case.repository.pull(1).state == "closed"
    assert case.repository.pull(1).comments == ["The ring before is not healthy."]
    assert case.forge.propose(proposal).pull_request.number == 2
    # and not a third one
    assert case.forge.propose(proposal).pull_request.number == 2


def test_closing_one_that_is_closed_or_merged_changes_nothing(case, proposal):
    case.forge.propose(proposal)
    case.repository.pull(1).state = "closed"
    case.forge.close(1, "why")
    assert case.repository.pull(1).comments == []
    assert case.forge.propose(proposal).outcome is Outcome.CLOSED


@pytest.mark.parametrize("method", ["merge", "squash"])
def test_a_merged_one_is_reported_as_such(case, proposal, method):
    case.forge.propose(proposal)
    case.repository.merge(case.repository.pull(1), method)
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.MERGED
    assert "was merged" in describe_change(change)
    assert len(case.repository.pulls) == 1


def test_a_merged_one_whose_branch_was_deleted_is_reported_as_such(case, proposal):
    case.forge.propose(proposal)
    case.repository.merge(case.repository.pull(1))
    git(case.repository.folder, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert case.forge.propose(proposal).outcome is Outcome.MERGED


@pytest.mark.parametrize("method", ["merge", "squash"])
def test_new_commits_on_a_branch_that_was_merged_are_proposed_again(case, proposal, method):
    case.forge.propose(proposal)
    case.repository.merge(case.repository.pull(1), method)
    commit = case.push("digest: 2\n")
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.CREATED
    assert (change.pull_request.number, change.pull_request.head_commit) == (2, commit)


def test_a_branch_of_the_same_name_in_a_fork_is_another_one(case, proposal):
    case.repository.add(BRANCH, fork="mallory/sites")
    assert case.forge.find(BRANCH) is None
    assert case.forge.propose(proposal).pull_request.number == 2
    assert case.repository.pull(1).title == "t"


def test_find_prefers_the_open_one_to_newer_ones(case):
    case.push("digest: 1\n", "other")
    assert case.forge.find(BRANCH) is None
    case.repository.add(BRANCH, "other").state = "closed"
    case.repository.add(BRANCH, "other").state = "closed"
    assert case.forge.find(BRANCH).number == 2
    case.repository.add(BRANCH)
    case.repository.add(BRANCH, "other").state = "closed"
    assert case.forge.find(BRANCH).number == 3


def test_of_two_open_ones_that_into_the_base_of_the_proposal_is_updated(case, proposal):
    case.push("digest: 1\n", "other")
    case.repository.add(BRANCH, "other")
    case.repository.add(BRANCH)
    assert case.forge.propose(proposal).pull_request.number == 2
    assert [pull.base for pull in case.repository.pulls] == ["other", "main"]


@only("github", "gitea")
def test_one_that_the_forge_closed_since_its_branch_was_deleted_is_not_opened_again(case, proposal):
    case.forge.propose(proposal)
    git(case.repository.folder, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert case.forge.find(BRANCH).state is PullRequestState.CLOSED
    case.push("digest: 2\n")
    assert case.forge.propose(proposal).outcome is Outcome.CLOSED


@only("gitlab")
def test_one_whose_branch_was_deleted_goes_on_with_the_branch_that_is_pushed_again(case, proposal):
    case.forge.propose(proposal)
    git(case.repository.folder, "update-ref", "-d", f"refs/heads/{BRANCH}")
    commit = case.push("digest: 2\n")
    assert case.forge.propose(proposal).pull_request.head_commit == commit


def test_an_open_one_behind_pages_of_newer_ones_is_found(case, proposal):
    case.repository.page_limit = 1
    case.push("digest: 1\n", "other")
    case.forge.propose(proposal)
    for _ in range(3):
        case.repository.add(BRANCH, "other").state = "closed"
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED


def test_pull_requests_on_later_pages_are_found(case, proposal):
    case.repository.page_limit = 2
    for number in range(5):
        case.push("digest: 1\n", f"other-{number}")
    case.forge.propose(proposal)
    case.repository.pull(1).state = "closed"
    for number in range(5):
        case.repository.add(f"other-{number}")
        case.repository.add(f"other-{number}").state = "closed"
    assert case.forge.propose(proposal).outcome is Outcome.CLOSED


def test_a_branch_that_does_not_exist_is_named(case, proposal):
    with pytest.raises(ForgeError, match=r"kfp-edge/none|head is invalid"):
        case.forge.propose(replace(proposal, branch="kfp-edge/none"))


def test_a_body_beyond_the_limit_is_cut_off_and_says_so(case, proposal):
    change = case.forge.propose(replace(proposal, body="a line of the diff\n" * 60_000, title="long " * 100))
    limit = 65_536 if case.kind == "github" else 1_048_576
    body = case.repository.pull(1).body
    assert len(body) <= limit
    assert "Cut off here: this text has 1,140,000 characters" in body
    assert len(case.repository.pull(1).title) <= 255
    assert case.forge.propose(replace(proposal, body="a line of the diff\n" * 60_000, title="long " * 100)).outcome is (
        Outcome.UNCHANGED
    )
    case.forge.close(change.pull_request.number)
    assert len(case.repository.pull(1).body) <= limit


def test_line_ends_that_the_forge_changed_are_no_difference(case, proposal):
    case.forge.propose(proposal)
    case.repository.pull(1).body = proposal.body.replace("\n", "\r\n").strip()
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED


def test_a_run_that_lost_the_race_updates_the_pull_request_of_the_other(case, proposal):
    case.repository.before_create.append(lambda: case.repository.add(BRANCH, title="of the other run"))
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.UPDATED
    assert (change.pull_request.number, change.pull_request.title) == (1, proposal.title)
    assert len(case.repository.pulls) == 1


def test_where_a_forge_lets_two_pass_the_first_one_stays(case, proposal):
    case.repository.prevents_duplicates = False
    case.repository.after_look.append(lambda: case.repository.add(BRANCH, title="of the other run"))
    change = case.forge.propose(proposal)
    assert change.pull_request.number == 1
    assert [pull.state for pull in case.repository.pulls] == ["open", "closed"]
    assert "pull request 1" in case.repository.pull(2).comments[0]
    # the closed one does not count as refused by a person
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("prevents_duplicates", [True, False])
def test_eight_runs_at_once_end_with_one_pull_request(case, proposal, prevents_duplicates):
    case.repository.prevents_duplicates = prevents_duplicates
    with ThreadPoolExecutor(8) as pool:
        changes = list(pool.map(lambda _: case.client().propose(proposal), range(8)))
    assert {change.pull_request.number for change in changes} == {1}
    assert [pull.number for pull in case.repository.pulls if pull.state == "open"] == [1]


def test_comments_are_written(case, proposal):
    case.forge.propose(proposal)
    case.forge.comment(1, "The canary ring is healthy for 24 h.")
    assert case.repository.pull(1).comments == ["The canary ring is healthy for 24 h."]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"base": BRANCH}, "into itself"),
        ({"title": "  "}, "needs a title"),
        ({"branch": "a..b"}, "cannot be the name of a git branch"),
        ({"draft": True, "auto_merge": True}, "no forge merges a draft"),
    ],
)
def test_a_proposal_that_no_forge_would_take_is_refused(change, reason):
    with pytest.raises(ParameterError, match=reason):
        Proposal(**{"branch": BRANCH, "base": "main", "title": "t", "body": "", **change})
