"""Requests are tried again where that may help, within bounds, and a failure is one sentence."""

import time
from dataclasses import replace

import pytest

from kfp_edge.errors import ForgeError, ParameterError
from kfp_edge.forges import Outcome, open_forge
from kfp_edge.git.remote import GitRemote
from support.fake_forges import TOKEN
from support.web_server import serve_folder

LIST = r"/(pulls|merge_requests)$"
COMMENT = r"/(comments|notes)$"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(case, proposal, pauses, status):
    case.fail("GET", LIST, status, times=3)
    assert case.forge.propose(proposal).outcome is Outcome.CREATED
    assert len(pauses) == 3


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_that_stays_ends_after_five_attempts(case, proposal, pauses, status):
    fault = case.fail("GET", LIST, status, body={"message": "database is locked"}, times=99)
    with pytest.raises(ForgeError, match=rf"could not list .* \(HTTP {status} \(database is locked\)\); try later"):
        case.forge.propose(proposal)
    assert fault.times == 94
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 415, 422])
def test_a_refusal_is_not_tried_again(case, proposal, pauses, status):
    fault = case.fail("GET", LIST, status, body={"message": "no"}, times=99)
    with pytest.raises(ForgeError, match=r"\(no\)|: no\."):
        case.forge.propose(proposal)
    assert fault.times == 98
    assert pauses == []


def test_a_forge_that_asks_to_wait_is_given_the_time(case, proposal, pauses):
    case.fail("GET", LIST, 429, headers={"Retry-After": "7"})
    case.forge.propose(proposal)
    assert pauses == [7.0]


def test_the_secondary_limit_of_github_is_not_taken_for_a_missing_right(case, proposal, pauses):
    body = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    case.fail("GET", LIST, 403, body=body)
    case.fail("POST", LIST, 403, body=body, headers={"Retry-After": "11"})
    assert case.forge.propose(proposal).outcome is Outcome.CREATED
    assert pauses == [60.0, 11.0]


def test_a_spent_rate_limit_ends_with_the_time_at_which_it_is_renewed(case, proposal, pauses):
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1800)}
    case.fail("GET", LIST, 403, body={"message": "API rate limit exceeded for user ID 1."}, headers=headers, times=99)
    with pytest.raises(ForgeError, match=r"limits the number of requests .* asks to wait until \d\d:\d\d:\d\d UTC"):
        case.forge.propose(proposal)
    assert pauses == []


def test_a_rate_limit_that_is_renewed_soon_is_waited_for(case, proposal, pauses):
    headers = {"RateLimit-Remaining": "0", "RateLimit-Reset": str(int(time.time()) + 20)}
    case.fail("GET", LIST, 429, headers=headers)
    case.forge.propose(proposal)
    assert 15 < pauses[0] < 25


@pytest.mark.parametrize("fault", [{"status": 502}, {"is_dropped": True}])
def test_a_pull_request_whose_answer_was_lost_is_not_opened_twice(case, proposal, fault):
    case.fail("POST", LIST, is_executed=True, **fault)
    change = case.forge.propose(proposal)
    assert change.pull_request.number == 1
    assert len(case.repository.pulls) == 1


def test_a_comment_is_never_written_twice(case, proposal):
    case.forge.propose(proposal)
    case.fail("POST", COMMENT, 502, is_executed=True)
    with pytest.raises(ForgeError, match="it may have been done all the same, so look before you repeat it"):
        case.forge.comment(1, "once")
    assert case.repository.pull(1).comments == ["once"]
    case.fail("POST", COMMENT, 429)
    case.forge.comment(1, "twice")
    assert case.repository.pull(1).comments == ["once", "twice"]


def test_a_run_that_was_interrupted_after_the_creation_is_completed_by_the_next(case, proposal):
    proposal = replace(proposal, labels=("kfp-edge",), reviewers=("ada",))
    method, path = (
        ("PUT", r"/merge_requests/1$") if case.kind == "gitlab" else ("POST", "/(labels|requested_reviewers)$")
    )
    case.fail(method, path, 500, times=10)
    change = case.forge.propose(proposal)
    assert change.outcome is Outcome.CREATED
    assert len(change.warnings) == 2
    assert case.forge.propose(proposal).outcome is Outcome.UPDATED
    assert (case.repository.pull(1).labels, case.repository.pull(1).reviewers) == (["kfp-edge"], ["ada"])


def test_a_lost_connection_is_tried_again(case, proposal):
    case.fail("GET", LIST, is_dropped=True, times=2)
    assert case.forge.propose(proposal).outcome is Outcome.CREATED


def test_a_login_page_is_not_taken_for_an_answer(case, proposal):
    case.fail("GET", LIST, 200, body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(ForgeError, match=r"\(it is no JSON\); check the kind of the forge and the address of its API"):
        case.forge.propose(proposal)


def test_an_answer_of_another_kind_of_forge_is_named(case, proposal):
    case.fail("GET", LIST, 200, body=[{"id": 1}])
    with pytest.raises(ForgeError, match="Field required.*check the kind of the forge"):
        case.forge.propose(proposal)


def test_a_page_of_a_proxy_is_not_part_of_the_message(case, proposal):
    case.fail("GET", LIST, 403, body=b"<html>Blocked by policy</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(ForgeError) as error:
        case.forge.propose(proposal)
    assert "html" not in str(error.value)


def test_a_redirect_to_another_server_is_not_followed(case, proposal):
    case.fail("GET", LIST, 302, headers={"Location": "https://elsewhere.invalid/login"})
    with pytest.raises(ForgeError, match=r"redirects the request to list .* to another address \(HTTP 302\)"):
        case.forge.propose(proposal)


def test_a_repository_that_was_renamed_is_followed_with_the_same_method(case, proposal):
    base = {"github": "/api/v3/repos", "gitlab": "/api/v4/projects", "gitea": "/api/v1/repos"}[case.kind]
    kind = "merge_requests" if case.kind == "gitlab" else "pulls"
    path = case.repository.path.replace("/", "%2F") if case.kind == "gitlab" else case.repository.path
    case.fail("POST", LIST, 307, headers={"Location": f"{base}/{path}/{kind}"})
    assert case.forge.propose(proposal).outcome is Outcome.CREATED


def test_an_unknown_certificate_is_named_with_the_variable(case):
    forge = open_forge(case.kind, GitRemote.parse(case.server.clone_url(case.repository.path)), token=TOKEN)
    with pytest.raises(ForgeError, match="is not trusted; set KFP_EDGE_FORGE_CA_FILE"):
        forge.check_access()


def test_a_certificate_of_another_host_is_named(case):
    # the same server by a name that its certificate does not have
    remote = GitRemote.parse(case.server.clone_url(case.repository.path).replace("127.0.0.1", "127.1"))
    forge = open_forge(case.kind, remote, token=TOKEN, ca_file=case.server.certificate)
    with pytest.raises(ForgeError, match=r"the certificate of 127\.1:\d+ is one of another host"):
        forge.check_access()


def test_a_server_without_tls_is_named(tmp_path):
    with serve_folder(tmp_path) as url:
        remote = GitRemote.parse(f"{url.replace('http:', 'https:')}/plant/sites.git")
        with pytest.raises(ForgeError, match=r"127\.0\.0\.1:\d+ does not answer with TLS"):
            open_forge("gitea", remote, token=TOKEN).check_access()


def test_a_server_that_is_not_there_is_named(case, proposal, pauses):
    remote = GitRemote.parse("https://127.0.0.1:1/plant/sites.git")
    forge = open_forge(case.kind, remote, token=TOKEN, ca_file=case.server.certificate)
    with pytest.raises(ForgeError, match=r"127\.0\.0\.1:1 cannot be reached to .*; check the address"):
        forge.propose(proposal)
    assert len(pauses) == 4


def test_a_proxy_of_the_environment_is_used(case, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ForgeError, match="the proxy for .* cannot be reached"):
        case.client().check_access()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    case.client().check_access()


def test_a_netrc_file_does_not_replace_the_token(case, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    case.client().check_access()


def test_the_token_and_the_ca_come_from_files_that_variables_name(case, monkeypatch, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KFP_EDGE_FORGE_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("KFP_EDGE_FORGE_CA_FILE", str(case.server.certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(case.server.certificate.with_suffix(".key")))
    open_forge(case.kind, GitRemote.parse(case.server.clone_url(case.repository.path))).check_access()


def test_without_a_token_of_its_own_the_forge_gets_that_of_git(case, monkeypatch):
    monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
    monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(case.server.certificate))
    remote = GitRemote.parse(case.server.clone_url(case.repository.path))
    open_forge(case.kind, remote).check_access()
    monkeypatch.setenv("KFP_EDGE_FORGE_TOKEN", "wrong")
    with pytest.raises(ForgeError, match="does not accept the token"):
        open_forge(case.kind, remote).check_access()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "no token of the forge is set; put one into KFP_EDGE_FORGE_TOKEN"),
        ({"KFP_EDGE_FORGE_TOKEN": "a\nb"}, "KFP_EDGE_FORGE_TOKEN must be one line of printable text"),
        ({"KFP_EDGE_FORGE_TOKEN": "tökén"}, "one line of printable ASCII text"),
        ({"KFP_EDGE_FORGE_TOKEN_FILE": "/none"}, "KFP_EDGE_FORGE_TOKEN_FILE is /none, which cannot be read"),
        ({"KFP_EDGE_FORGE_TOKEN": "t", "KFP_EDGE_FORGE_CA_FILE": "/none"}, "KFP_EDGE_FORGE_CA_FILE is /none"),
        ({"KFP_EDGE_FORGE_TOKEN": "t", "KFP_EDGE_GIT_CA_FILE": __file__}, "cannot be read as certificates"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(monkeypatch, variables, reason):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match=reason):
        open_forge("github", GitRemote.parse("https://github.com/plant/sites.git"))
