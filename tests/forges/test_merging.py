"""Pull requests are merged in git, by us or by the forge itself."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kfp_edge.errors import ForgeError
from kfp_edge.forges import Outcome, PullRequestState
from support.fake_forges import Rule, only
from support.git_repositories import git, push_from_another_clone

BRANCH = "kfp-edge/press/1.4.0"
FILE = "rings/canary/press/kustomization.yaml"


def test_a_merge_brings_the_file_to_the_base_branch(case, proposal):
    commit = case.forge.propose(proposal).pull_request.head_commit
    case.forge.merge(1, commit)
    assert git(case.repository.folder, "show", f"main:{FILE}") == "digest: 1"
    assert case.forge.find(BRANCH).state is PullRequestState.MERGED


def test_the_time_of_a_merge_is_that_of_the_forge(case, proposal):
    case.forge.propose(proposal)
    assert case.forge.find(BRANCH).merged_at is None
    case.forge.merge(1)
    assert case.forge.find(BRANCH).merged_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("method", ["squash", "rebase"])
def test_a_merge_is_done_in_the_way_that_the_repository_allows(case, proposal, method):
    case.repository.merge_methods = (method,)
    case.forge.propose(proposal)
    case.forge.merge(1)
    assert git(case.repository.folder, "show", f"main:{FILE}") == "digest: 1"


def test_one_that_is_merged_already_stays_as_it_is(case, proposal):
    case.forge.propose(proposal)
    case.forge.merge(1)
    case.repository.requests.clear()
    case.forge.merge(1)
    assert case.sent() == []


def test_a_merge_whose_answer_was_lost_is_no_failure(case, proposal):
    case.forge.propose(proposal)
    case.fail("POST" if case.kind == "gitea" else "PUT", "/merge$", 502, is_executed=True)
    case.forge.merge(1)
    assert case.repository.pull(1).state == "merged"


def test_what_was_not_reviewed_is_not_merged(case, proposal):
    reviewed = case.forge.propose(proposal).pull_request.head_commit
    commit = case.push("digest: 2\n")
    with pytest.raises(ForgeError, match=f"now proposes the commit {commit[:12]}, not {reviewed[:12]}"):
        case.forge.merge(1, reviewed)
    assert case.repository.pull(1).state == "open"


def test_what_is_pushed_between_our_look_and_the_merge_is_not_merged(case, proposal):
    case.forge.propose(proposal)
    repository, synchronize = case.repository, case.repository.synchronize
    merge_path = "/merge"

    def push_before_merge() -> None:
        if repository.requests[-1][1].endswith(merge_path) and not hasattr(repository, "is_pushed"):
            repository.is_pushed = True
            case.push("digest: 2\n")
        synchronize()

    repository.synchronize = push_before_merge
    with pytest.raises(ForgeError, match=r"modified|out of date|does not match"):
        case.forge.merge(1)
    assert repository.pull(1).state == "open"


def test_a_closed_one_is_not_merged(case, proposal):
    case.forge.propose(proposal)
    case.repository.pull(1).state = "closed"
    with pytest.raises(ForgeError, match="is closed; reopen it"):
        case.forge.merge(1)


def test_a_conflict_is_an_error_with_the_words_of_the_forge(case, proposal):
    case.forge.propose(proposal)
    push_from_another_clone(case.repository.folder, "main", {FILE: "digest: 9\n"})
    with pytest.raises(
        ForgeError, match=r"refuses to merge .* 1 in plant/.*: (Pull Request is not|Branch cannot|confl)"
    ):
        case.forge.merge(1)


def test_a_merge_waits_until_the_forge_knows_whether_it_is_possible(case, proposal, pauses):
    case.forge.propose(proposal)
    case.repository.undecided = 3
    case.forge.merge(1)
    assert case.repository.pull(1).state == "merged"
    assert pauses


def test_a_forge_that_never_decides_is_given_up(case, proposal, pauses):
    case.forge.propose(proposal)
    case.repository.undecided = 1000
    with pytest.raises(ForgeError, match="refuses to merge"):
        case.forge.merge(1)
    assert len(pauses) < 10


def test_a_merge_without_the_approval_that_the_rules_require_is_refused(case, proposal):
    case.repository.rules["main"] = Rule(approvals=1)
    case.forge.propose(proposal)
    with pytest.raises(ForgeError, match="refuses to merge"):
        case.forge.merge(1)
    case.repository.approve(1, "ada")
    case.forge.merge(1)


@only("gitlab", "gitea")
def test_who_may_not_merge_is_told_so_and_not_that_the_token_is_wrong(case, proposal):
    case.forge.propose(proposal)
    case.repository.may_merge = False
    with pytest.raises(ForgeError, match=r"may not merge into main|User not allowed to merge PR"):
        case.forge.merge(1)


@pytest.mark.parametrize("rule", [Rule(approvals=1), Rule(checks=True)])
def test_auto_merge_merges_once_the_rules_are_satisfied(case, proposal, rule):
    case.repository.rules["main"] = rule
    case.repository.checks = "pending"
    proposal = replace(proposal, auto_merge=True)
    change = case.forge.propose(proposal)
    assert (change.outcome, change.warnings) == (Outcome.CREATED, ())
    assert case.repository.pull(1).state == "open"
    assert case.forge.propose(proposal).outcome is Outcome.UNCHANGED
    case.repository.approve(1, "ada")
    case.repository.pass_checks()
    assert case.repository.pull(1).state == "merged"
    assert git(case.repository.folder, "show", f"main:{FILE}") == "digest: 1"


def test_auto_merge_with_nothing_to_wait_for_is_a_warning_and_merges_nothing(case, proposal):
    change = case.forge.propose(replace(proposal, auto_merge=True))
    assert change.outcome is Outcome.CREATED
    assert len(change.warnings) == 1
    assert "auto-merge of" in change.warnings[0]
    assert case.repository.pull(1).state == "open"


def test_auto_merge_that_the_repository_does_not_allow_is_a_warning(case, proposal):
    case.repository.rules["main"] = Rule(approvals=1)
    case.repository.allows_auto_merge = False
    case.repository.may_merge = False
    change = case.forge.propose(replace(proposal, auto_merge=True))
    assert change.outcome is Outcome.CREATED
    assert len(change.warnings) == 1
    assert "auto-merge of" in change.warnings[0]


def test_auto_merge_waits_until_the_forge_has_looked_at_the_request(case, proposal):
    case.repository.rules["main"] = Rule(checks=True)
    case.repository.undecided = 3
    assert case.forge.propose(replace(proposal, auto_merge=True)).warnings == ()
    assert case.repository.pull(1).auto_merge
