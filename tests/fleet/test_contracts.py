"""`fleet.yaml` and `site.yaml`: defaults, and what a ring states in place of the fleet."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.documents import parse_document
from kfp_edge.fleet.units import format_duration, parse_duration, parse_share
from support.fleets import site_with

FLEET = """\
apiVersion: kfp-edge.io/v1alpha1
kind: Fleet
name: plant
repository: https://git.example/fleet
rings:
  - name: canary
    soakTime: 30m
    abort: {maxErrorRate: 2.5%, maxLatencyMs: 20}
  - name: all
    maxOffline: 10%
    disruptionBudget: {groupBy: [region], maxChanging: 20%}
    pullRequests: {draft: true, reviewers: [leads]}
pullRequests: {forge: gitlab, labels: [release], reviewers: [team], autoMerge: true}
metrics: {prometheus: https://prometheus.example}
"""


@pytest.fixture
def fleet() -> Fleet:
    return parse_document(Fleet, FLEET.encode(), "fleet.yaml")


def test_what_is_not_stated_has_its_default(fleet: Fleet) -> None:
    first, second = fleet.rings
    assert fleet.branch == "main"
    assert (first.soak_time, second.soak_time) == (timedelta(minutes=30), timedelta(days=1))
    assert (first.max_offline, second.max_offline) == (0.0, 0.1)
    assert (first.abort.max_error_rate, second.abort.max_error_rate) == (0.025, 0.01)
    assert second.disruption_budget is not None
    assert second.disruption_budget.max_changing == 0.2
    assert fleet.metrics is not None
    assert fleet.metrics.site_label == "site"


def test_a_ring_states_what_its_pull_requests_have_otherwise_than_the_fleet(fleet: Fleet) -> None:
    canary, rest = fleet.review_settings("canary"), fleet.review_settings("all")
    assert (canary.labels, canary.reviewers, canary.draft, canary.auto_merge) == (("release",), ("team",), None, True)
    assert (rest.labels, rest.reviewers, rest.draft, rest.auto_merge) == (("release",), ("leads",), True, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("30m", "30 minutes", "line 7: rings[0].soakTime is '30 minutes'; it must be a duration such as 30m"),
        ("2.5%", "0.025", "line 8: rings[0].abort.maxErrorRate is 0.025; it must be a share such as 5%"),
        ("10%", "110%", "line 10: rings[1].maxOffline is '110%'; it must be a share"),
        ("20%", "0", "line 11: rings[1].disruptionBudget.maxChanging is 0; it must be at least 1."),
        ("20%", "0%", "maxChanging is '0%'; it must be above 0%."),
        ("20%", "some", "maxChanging is 'some'; it must be a number of sites such as 5, or a share of"),
        ("20}", "-1}", "rings[0].abort.maxLatencyMs is -1: input should be greater than 0."),
        ("forge: gitlab", "forge: bitbucket", "line 13: pullRequests.forge is 'bitbucket': input should be 'git"),
        ("draft:", "drafts:", "has the key rings[1].pullRequests.drafts, which is not known; did you mean draft?"),
        ("https://prometheus.example", "prometheus:9090", "metrics.prometheus is 'prometheus:9090'; it must be a"),
        ("https://prom", "https://u:p@prom", "metrics.prometheus is 'https://***@prometheus.example'; it must be"),
        ("https://git", "https://u:p@git", "repository is 'https://***@git.example/fleet'; it must not contain"),
        ("name: plant", "name: Plant", "line 3: name is 'Plant'; it must be a DNS label"),
        ("rings:\n", "rings: canary\nx:\n", "line 5: rings has to be a list."),
    ],
)
def test_a_mistake_is_a_sentence_with_its_line(old: str, new: str, message: str) -> None:
    text = FLEET.replace(old, new, 1)
    assert text != FLEET
    with pytest.raises(KfpEdgeError) as error:
        parse_document(Fleet, text.encode(), "fleet.yaml")
    assert str(error.value).startswith("fleet.yaml, line ")
    assert message in str(error.value)


def test_a_file_that_is_not_utf_8_is_a_sentence() -> None:
    with pytest.raises(KfpEdgeError, match=r"fleet.yaml: is not UTF-8 text\."):
        parse_document(Fleet, b"\xff\xfe", "fleet.yaml")


def test_a_star_or_an_ampersand_in_a_text_is_no_anchor() -> None:
    text = FLEET.replace("name: plant", "name: plant # a & b\n").replace("soakTime: 30m", "soakTime: 30m # *important*")
    assert parse_document(Fleet, text.encode(), "fleet.yaml").name == "plant"


@pytest.mark.parametrize(
    "line",
    ["? [a, b]\n: c", "? {a: b}\n: c", "x: !!python/object:os.system {}", "x: !!int abc", "<<: {x: y}", "x: !secret y"],
)
def test_what_is_valid_yaml_but_no_plain_value_is_a_sentence(line: str) -> None:
    with pytest.raises(KfpEdgeError, match=r"^fleet\.yaml[:,]"):
        parse_document(Fleet, f"{FLEET}{line}\n".encode(), "fleet.yaml")


def test_two_documents_in_one_file_are_a_sentence() -> None:
    with pytest.raises(KfpEdgeError, match="is not valid YAML"):
        parse_document(Fleet, f"{FLEET}---\n{FLEET}".encode(), "fleet.yaml")


def test_a_date_is_a_text() -> None:
    site = site_with("hall-1").model_dump(mode="json", by_alias=True) | {"labels": {"since": "2026-01-01"}}
    text = "\n".join(f"{key}: {value!r}" for key, value in site.items() if value not in ("", [], None))
    text = text.replace("'2026-01-01'", "2026-01-01")
    assert parse_document(Site, text.encode(), "site.yaml").labels == {"since": "2026-01-01"}


def test_the_same_model_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="names the model pump 2 times; once is enough"):
        site_with("hall-1", models=["pump", "pump"])


@pytest.mark.parametrize("text", ["90s", "30m", "24h", "7d", "0s"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)


def test_shares_are_numbers_from_0_to_1() -> None:
    assert [parse_share(text) for text in ("0%", "2.5 %", "100%")] == [0.0, 0.025, 1.0]


@pytest.mark.parametrize(
    "schedule", ["99 * * * *", "0 24 * * *", "0 0 * * 7", "0 0 31 2 *", "0 0 31-1 * *", "0 0 *,, * *"]
)
def test_a_window_that_argo_cd_cannot_read_or_that_never_opens_is_refused(schedule: str) -> None:
    with pytest.raises(ValidationError, match="must be a cron schedule"):
        site_with("hall-1", windows=[{"schedule": schedule, "duration": "4h"}])


@pytest.mark.parametrize("schedule", ["0 22 * * *", "*/15 0-4 * * 1-5", "0 2 29 2 *", "30 1 1,15 JAN-MAR sun"])
def test_a_window_may_be_any_schedule_of_a_crontab(schedule: str) -> None:
    (window,) = site_with("hall-1", windows=[{"schedule": schedule, "duration": "4h"}]).windows
    assert window.schedule == schedule
