"""What became of a proposal, in one sentence and one more for each warning."""

import pytest

from kfp_edge.forges import Outcome, ProposedChange, PullRequest, PullRequestState, describe_change

REQUEST = PullRequest(
    number=12,
    url="https://github.com/plant/sites/pull/12",
    branch="kfp-edge/press/1.4.0",
    base="main",
    state=PullRequestState.OPEN,
    title="feat: press 1.4.0",
    body="",
    labels=(),
    draft=False,
    head_commit="0" * 40,
)
NAME = "pull request 12 (https://github.com/plant/sites/pull/12)"


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome.CREATED, f"opened {NAME} to merge kfp-edge/press/1.4.0 into main."),
        (Outcome.UPDATED, f"updated {NAME} to merge kfp-edge/press/1.4.0 into main."),
        (Outcome.UNCHANGED, f"{NAME} to merge kfp-edge/press/1.4.0 into main is open and up to date."),
        (
            Outcome.MERGED,
            f"{NAME} was merged, and kfp-edge/press/1.4.0 has no new commit, so there is nothing to propose.",
        ),
        (
            Outcome.CLOSED,
            f"{NAME} to merge kfp-edge/press/1.4.0 into main was closed by a person without being merged, so nothing "
            "was proposed again; if the change is wanted after all, reopen it or propose another branch.",
        ),
    ],
)
def test_each_outcome_has_its_sentence(outcome, sentence):
    assert describe_change(ProposedChange(outcome, REQUEST)) == sentence


def test_warnings_follow_as_sentences():
    change = ProposedChange(Outcome.UPDATED, REQUEST, ("GitLab has no user ada.", "auto-merge is not enabled."))
    assert describe_change(change).endswith("into main. GitLab has no user ada. auto-merge is not enabled.")
