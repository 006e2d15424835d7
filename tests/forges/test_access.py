"""What a token may not do is one sentence, which names the scope that it lacks and never the token."""

from dataclasses import replace

import pytest

from kfp_edge.errors import ForgeError
from support.fake_forges import TOKEN, only

SCOPES = {"github": "Pull requests: read and write", "gitlab": "scope `api`", "gitea": "repository: read and write"}


def test_a_token_with_every_right_passes_and_changes_nothing(case):
    case.forge.check_access()
    assert case.repository.pulls == []
    assert case.repository.labels == []


@pytest.mark.parametrize("call", ["check_access", "propose"])
def test_a_token_that_the_forge_does_not_know_is_refused(case, proposal, call):
    with pytest.raises(ForgeError, match="does not accept the token") as error:
        getattr(case.client("wrong-s3cret"), call)(*([proposal] if call == "propose" else []))
    assert SCOPES[case.kind] in str(error.value)
    assert "KFP_EDGE_FORGE_TOKEN_FILE" in str(error.value)
    assert "wrong-s3cret" not in str(error.value)


@pytest.mark.parametrize("call", ["check_access", "propose"])
def test_a_token_without_the_scope_is_told_which_one_it_needs(case, proposal, call):
    with pytest.raises(ForgeError, match="the token may not open a") as error:
        getattr(case.token("read"), call)(*([proposal] if call == "propose" else []))
    assert SCOPES[case.kind] in str(error.value)
    assert {
        "github": "GitHub would accept pull_requests=write",
        "gitlab": "higher privileges than provided",
        "gitea": "required=[write:repository]",
    }[case.kind] in str(error.value)
    assert case.repository.pulls == []


@only("github")
def test_a_classic_token_that_may_only_read_a_public_repository_is_told_its_scope(case, proposal):
    case.fail("POST", "/pulls$", 404, body={"message": "Not Found"}, times=2)
    for call in (case.forge.check_access, lambda: case.forge.propose(proposal)):
        with pytest.raises(ForgeError, match=r"the token may not see it.*a classic token: `repo`"):
            call()


@only("gitea")
def test_a_token_without_the_right_to_label_still_opens_the_pull_request(case, proposal):
    change = case.token("read", "write").propose(replace(proposal, labels=("a",)))
    assert len(change.warnings) == 1
    assert "issue: read and write" in change.warnings[0]


def test_a_user_who_may_only_read_is_told_so(case):
    case.repository.may_push = False
    with pytest.raises(ForgeError, match=r"may only read|no role in .* that may write"):
        case.forge.check_access()


def test_an_archived_repository_is_named(case):
    case.repository.archived = True
    with pytest.raises(ForgeError, match=r"plant/sites-\d+ on 127.0.0.1:\d+ is archived"):
        case.forge.check_access()


@only("gitlab", "gitea")
def test_pull_requests_that_are_switched_off_are_named(case):
    case.repository.has_pull_requests = False
    with pytest.raises(ForgeError, match="switched off"):
        case.forge.check_access()


def test_a_repository_that_is_not_there_is_named(case, proposal):
    del case.server.repositories[case.repository.path]
    for call in (case.forge.check_access, lambda: case.forge.propose(proposal)):
        with pytest.raises(ForgeError, match=f"does not have {case.repository.path}, or the token may not see it"):
            call()


def test_single_sign_on_is_named(case):
    headers = {"X-GitHub-SSO": "required; url=https://github.com/orgs/plant/sso?authorization_request=AZSCKL"}
    case.fail("GET", "", 403, body={"message": "Resource protected by organization SAML enforcement"}, headers=headers)
    with pytest.raises(ForgeError, match="wants the token to be authorized for its single sign-on") as error:
        case.forge.check_access()
    assert "AZSCKL" not in str(error.value)


def test_the_words_of_the_forge_are_passed_on_without_the_token(case, proposal):
    case.fail("POST", "", 422, body={"message": f"bad header {TOKEN}", "errors": [{"message": "x"}, "y"]})
    with pytest.raises(ForgeError, match=r"refuses to open .*: bad header \*\*\*: x; y\.$"):
        case.forge.propose(proposal)
