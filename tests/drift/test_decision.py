"""The decision of windows with and without drift."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from kfp_edge.drift.comparing import adjust_p_values
from kfp_edge.drift.counts import SiteCounts, WindowCounts
from kfp_edge.drift.decision import evaluate
from kfp_edge.drift.result import Comparison, Decision, DriftOptions, DriftResult, Scope, Verdict
from kfp_edge.errors import DataError
from support.drift import END, WINDOW, Column, categories, feature, in_parts, output, references, site, window

RNG = np.random.default_rng(0)
COLUMNS = {feature(name): Column(RNG.normal(size=8000)) for name in ("heat", "speed", "torque")}
HEAT, SPEED, TORQUE = COLUMNS
CLASS = output("class")
BINS = {variable: column.bins for variable, column in COLUMNS.items()} | {CLASS: categories({"0": 7700, "1": 300})}
REFERENCES = references(BINS)
OPTIONS = DriftOptions(min_rows=100)


def normal_site(name: str, ring: str = "canary", rows: int = 1000, **values: np.ndarray) -> SiteCounts:
    """Return a site without drift, except in the features that are given."""
    rng = np.random.default_rng(sum(map(ord, name)))
    parts = {
        variable: in_parts(column, values.get(variable.name, rng.normal(size=rows)))
        for variable, column in COLUMNS.items()
    }
    alarms = rng.random((28, rows // 28 + 1)) < 0.0375
    parts[CLASS] = np.stack([(~alarms).sum(axis=1), alarms.sum(axis=1), *np.zeros((2, 28), int)], axis=1)
    return site(name, parts, ring)


def shifted(by: float, rows: int = 1000) -> np.ndarray:
    return np.random.default_rng(9).normal(size=rows) + by


def fleet(*changed: SiteCounts, sites: int = 6) -> WindowCounts:
    rest = [normal_site(f"hall-{number}", "canary" if number < 2 else "all") for number in range(len(changed), sites)]
    return window(*changed, *rest)


def of(result: DriftResult, scope: Scope, name: str, variable: str) -> Comparison:
    (comparison,) = [
        each for each in result.comparisons if (each.scope, each.name, each.variable) == (scope, name, variable)
    ]
    return comparison


def test_without_drift_nothing_is_to_do() -> None:
    result = evaluate("press", fleet(), REFERENCES, OPTIONS)
    assert (result.decision, result.reasons, result.quarantined) == (Decision.NONE, (), ())
    assert {each.verdict for each in result.comparisons} == {Verdict.STABLE}


def test_drift_of_one_feature_everywhere_is_a_reason_to_retrain() -> None:
    sites = [normal_site(f"hall-{number}", heat=shifted(1)) for number in range(6)]
    result = evaluate("press", window(*sites), REFERENCES, OPTIONS)
    assert result.decision is Decision.RETRAIN
    assert result.reasons[0].startswith("The whole fleet drifts in heat. PSI ")
    assert of(result, Scope.FLEET, "", "heat").verdict is Verdict.DRIFT
    assert of(result, Scope.FLEET, "", "speed").verdict is Verdict.STABLE


def test_one_site_of_many_is_watched_and_not_a_reason_to_retrain() -> None:
    result = evaluate("press", fleet(normal_site("odd", "all", heat=shifted(1)), sites=12), REFERENCES, OPTIONS)
    assert of(result, Scope.SITE, "odd", "heat").verdict is Verdict.DRIFT
    assert result.decision is Decision.WATCH
    assert "Drift at 1 of 12 sites is no reason to retrain the model of all; the share has to be 10%." in result.reasons


def test_a_site_that_is_the_whole_fleet_is_a_reason_to_retrain() -> None:
    result = evaluate("press", window(normal_site("only", heat=shifted(1))), REFERENCES, OPTIONS)
    assert result.decision is Decision.RETRAIN
    assert {each.scope for each in result.comparisons} == {Scope.SITE}


def test_a_ring_is_compared_as_a_whole() -> None:
    sites = [normal_site(f"hall-{n}", "canary" if n < 6 else "all", heat=shifted(1 if n < 6 else 0)) for n in range(12)]
    result = evaluate("press", window(*sites), REFERENCES, OPTIONS)
    assert of(result, Scope.RING, "canary", "heat").verdict is Verdict.DRIFT
    assert of(result, Scope.RING, "all", "heat").verdict is Verdict.STABLE
    assert any(reason.startswith("Ring canary drifts in heat.") for reason in result.reasons)


def test_the_last_sites_of_an_older_version_are_no_fleet() -> None:
    """Two of thirty sites drift; that they are all of their version makes them no more."""
    last = [replace(normal_site(f"last-{n}", "all", heat=shifted(1)), version="0.9.0") for n in range(2)]
    of_two = window(*last, *fleet(sites=28).sites)
    result = evaluate("press", of_two, references(BINS, ("0.9.0", "1.0.0")), OPTIONS)
    assert result.decision is Decision.WATCH
    assert result.reasons[0].startswith("The fleet with version 0.9.0 drifts in heat. PSI ")
    assert result.reasons[1].startswith("Site last-0 with version 0.9.0 drifts in heat. PSI ")
    assert result.reasons[-1].startswith("Drift at 2 of 30 sites is no reason to retrain the model of all")


def test_a_ring_that_is_retrained_for_has_no_reason_against_it() -> None:
    sites = [normal_site(f"hall-{n}", "canary" if n < 2 else "all", heat=shifted(n < 2)) for n in range(30)]
    result = evaluate("press", window(*sites), REFERENCES, OPTIONS)
    assert result.decision is Decision.RETRAIN
    assert not any("no reason to retrain" in reason for reason in result.reasons)


def test_a_site_without_a_name_is_called_so() -> None:
    result = evaluate("press", window(normal_site("", heat=shifted(1))), REFERENCES, OPTIONS)
    assert result.reasons[0].startswith("Site (without a name) drifts in heat.")


def test_drift_of_the_predictions_counts_as_that_of_a_feature() -> None:
    changed = normal_site("only")
    alarms = np.zeros((28, 4), int)
    alarms[:, :2] = 20, 16
    result = evaluate("press", window(replace(changed, parts={**changed.parts, CLASS: alarms})), REFERENCES, OPTIONS)
    assert result.decision is Decision.RETRAIN
    assert result.reasons[0].startswith("Site only drifts in output class.")
    assert "“1”: 44% of the rows, 4% in training" in result.reasons[0]


def test_below_the_least_rows_there_is_no_verdict_whatever_the_difference() -> None:
    few = site("only", {HEAT: in_parts(COLUMNS[HEAT], shifted(5, 99))})
    result = evaluate("press", window(few), REFERENCES, OPTIONS)
    assert result.decision is Decision.NONE
    assert of(result, Scope.SITE, "only", "heat").reason == "99 rows, of which 100 are needed."
    assert result.reasons == ("There is no verdict. 99 rows, of which 100 are needed.",)


def test_a_large_difference_that_chance_explains_is_stated_with_the_reason_why_it_is_no_drift() -> None:
    began = np.concatenate([np.random.default_rng(9).normal(size=800), shifted(3, 200)])
    result = evaluate("press", window(normal_site("only", heat=began)), REFERENCES, OPTIONS)
    compared = of(result, Scope.SITE, "only", "heat")
    assert (result.decision, compared.verdict) == (Decision.NONE, Verdict.STABLE)
    assert compared.psi is not None
    assert compared.psi > 0.2
    assert "which is not significant: 1,000 rows say as much as" in compared.reason
    assert result.reasons == (f"Site only differs most in heat. {compared.reason}",)


def test_the_numbers_of_a_reason_are_those_of_the_variable_that_is_named_first() -> None:
    sites = [normal_site(f"hall-{number}", speed=shifted(3), heat=shifted(1)) for number in range(6)]
    result = evaluate("press", window(*sites), REFERENCES, OPTIONS)
    speed = of(result, Scope.FLEET, "", "speed")
    assert result.reasons[0] == f"The whole fleet drifts in speed, heat. {speed.reason}"


def test_a_small_difference_in_many_rows_is_significant_and_no_drift() -> None:
    result = evaluate("press", window(normal_site("only", rows=50_000, heat=shifted(0.2, 50_000))), REFERENCES, OPTIONS)
    compared = of(result, Scope.SITE, "only", "heat")
    assert compared.adjusted_p_value is not None
    assert compared.adjusted_p_value < 1e-6
    assert compared.verdict is Verdict.STABLE


def test_categories_that_training_did_not_have_are_drift() -> None:
    kind = feature("kind")
    bins = {kind: categories({"L": 4000, "M": 4000})}
    parts = np.tile([10, 10, 20, 0], (28, 1))
    result = evaluate("press", window(site("only", {kind: parts})), references(bins), OPTIONS)
    assert result.decision is Decision.RETRAIN
    assert "“unseen in training”: 50% of the rows, 0% in training" in result.reasons[0]


def test_a_feature_that_was_constant_in_training_is_watched() -> None:
    column = Column(np.full(1000, 3.0))
    parts = in_parts(column, np.random.default_rng(0).normal(3, 1, size=1000))
    options = DriftOptions(min_rows=2000)  # so that values out of range are no fault of a sensor
    result = evaluate("press", window(site("only", {HEAT: parts * 3})), references({HEAT: column.bins}), options)
    assert (result.decision, result.comparisons[0].verdict) == (Decision.WATCH, Verdict.WATCH)
    assert "It was constant in training, so the model does not use it." in result.reasons[0]


class TestABrokenSensor:
    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (np.full(1000, 0.123), "heat: its values do not change"),
            (np.full(1000, np.nan), "heat: its values are missing"),
            (np.random.default_rng(0).normal(size=1000) + 50, "heat: its values are outside of the range of training"),
        ],
    )
    def test_is_quarantined_and_does_not_make_the_fleet_drift(self, values: np.ndarray, reason: str) -> None:
        result = evaluate("press", fleet(normal_site("broken", heat=values), sites=3), REFERENCES, OPTIONS)
        assert result.decision is Decision.REPAIR
        (quarantine,) = result.quarantined
        assert (quarantine.site, quarantine.features, quarantine.reason) == ("broken", ("heat",), reason)
        assert (quarantine.start, quarantine.end) == (END - WINDOW, END)
        assert of(result, Scope.SITE, "broken", "heat").verdict is Verdict.BROKEN
        assert of(result, Scope.SITE, "broken", "class").reason == "A sensor of the site is broken."
        assert of(result, Scope.FLEET, "", "heat").verdict is Verdict.STABLE

    def test_beside_drift_elsewhere_is_left_out_of_retraining(self) -> None:
        broken = normal_site("broken", heat=np.full(1000, np.nan))
        drifted = [normal_site(f"hall-{number}", speed=shifted(1)) for number in range(3)]
        result = evaluate("press", window(broken, *drifted), REFERENCES, OPTIONS)
        assert (result.decision, [each.site for each in result.quarantined]) == (Decision.RETRAIN, ["broken"])

    def test_is_none_where_most_sites_have_it(self) -> None:
        sites = [normal_site(f"hall-{number}", heat=shifted(50)) for number in range(3)]
        result = evaluate("press", window(*sites), REFERENCES, OPTIONS)
        assert (result.decision, result.quarantined) == (Decision.RETRAIN, ())

    def test_is_found_at_the_only_site_if_it_is_stuck(self) -> None:
        result = evaluate("press", window(normal_site("only", heat=np.full(1000, 0.1))), REFERENCES, OPTIONS)
        assert result.decision is Decision.REPAIR

    def test_is_not_what_the_only_site_has_out_of_range(self) -> None:
        """It may be a new state of the machine, as well."""
        result = evaluate("press", window(normal_site("only", heat=shifted(50))), REFERENCES, OPTIONS)
        assert result.decision is Decision.RETRAIN

    def test_is_not_a_value_that_was_mostly_constant_in_training(self) -> None:
        column = Column(np.where(np.random.default_rng(0).random(8000) < 0.9, 0.0, 1.0))
        parts = in_parts(column, np.zeros(300))
        result = evaluate("press", window(site("only", {HEAT: parts})), references({HEAT: column.bins}), OPTIONS)
        assert result.quarantined == ()

    def test_where_most_features_are_stuck_all_rows_of_the_site_are_quarantined(self) -> None:
        stuck = {name: np.full(1000, 0.1) for name in ("heat", "speed")}
        result = evaluate("press", fleet(normal_site("frozen", **stuck), sites=4), REFERENCES, OPTIONS)
        assert result.quarantined[0].features == ("heat", "speed", "torque")


class TestTheWindowsBefore:
    def evaluate(self, values: np.ndarray, history: list[np.ndarray]) -> DriftResult:
        bins = {HEAT: COLUMNS[HEAT].bins}
        now = window(site("only", {HEAT: in_parts(COLUMNS[HEAT], values)}))
        rows = np.array([COLUMNS[HEAT].count(each) for each in history])
        before = window(site("only", {HEAT: rows}), end=now.start) if history else None
        return evaluate("press", now, references(bins), OPTIONS, history=before)

    def test_a_value_that_stays_in_one_bin_in_most_windows_is_not_stuck(self) -> None:
        history = [np.full(400, level) for level in np.random.default_rng(0).normal(size=8)]
        assert self.evaluate(np.full(400, 0.3), history).decision is Decision.NONE
        usual = [np.random.default_rng(seed).normal(size=400) for seed in range(8)]
        assert self.evaluate(np.full(400, 0.3), usual).decision is Decision.REPAIR

    def test_without_them_a_window_of_few_independent_rows_has_no_verdict(self) -> None:
        """Twenty independent values, each of which lasts for twenty rows."""
        values = np.repeat(np.random.default_rng(0).normal(1, 1, size=20), 20)
        result = self.evaluate(values, [])
        assert result.comparisons[0].verdict is Verdict.NO_VERDICT
        assert "400 rows say as much as" in result.comparisons[0].reason
        assert "a longer window is needed" in result.comparisons[0].reason


class TestASeason:
    def evaluate(self, earlier: float, between: float, now: float = 1.0, season: int | None = 7) -> DriftResult:
        def read(start: object, end: object) -> WindowCounts:
            value = earlier if end == day.end - timedelta(days=7) else between
            return window(normal_site("only", heat=shifted(value)))

        day = window(normal_site("only", heat=shifted(now)), length=timedelta(days=1))
        options = DriftOptions(min_rows=100, season=None if season is None else timedelta(days=season))
        return evaluate("press", day, REFERENCES, options, read)

    def test_drift_that_was_there_a_week_before_and_not_in_between_is_seasonal(self) -> None:
        result = self.evaluate(earlier=1, between=0)
        assert (result.decision, result.comparisons[0].verdict) == (Decision.NONE, Verdict.SEASONAL)
        assert "It was so 7 d before, too, and not in between." in result.reasons[0]

    def test_drift_that_has_lasted_since_then_is_not(self) -> None:
        assert self.evaluate(earlier=1, between=1).decision is Decision.RETRAIN

    def test_drift_that_is_new_is_not(self) -> None:
        assert self.evaluate(earlier=0, between=0).decision is Decision.RETRAIN

    def test_without_a_season_nothing_is(self) -> None:
        assert self.evaluate(earlier=1, between=0, season=None).decision is Decision.RETRAIN


def test_p_values_are_corrected_for_their_number() -> None:
    assert adjust_p_values([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert adjust_p_values([]) == []


def test_over_many_evaluations_without_drift_the_stated_rate_holds() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        parts = {variable: in_parts(column, rng.normal(size=100)) for variable, column in COLUMNS.items()}
        alarms += evaluate("press", window(site("only", parts)), REFERENCES, OPTIONS).decision is not Decision.NONE
    assert alarms <= 4  # 1 % is stated


def test_the_document_is_read_again(tmp_path) -> None:
    result = evaluate("press", fleet(normal_site("broken", heat=np.full(1000, np.nan))), REFERENCES, OPTIONS)
    (tmp_path / "result").write_bytes(result.to_json())
    assert DriftResult.load(tmp_path / "result") == result


def test_another_document_is_refused(tmp_path) -> None:
    (tmp_path / "result").write_text('{"format": 1}')
    with pytest.raises(DataError, match="is no result of the component drift; give the artifact `result`"):
        DriftResult.load(tmp_path / "result")
