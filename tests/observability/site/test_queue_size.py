"""The size of the queue at a site: what an outage needs, why, and when the alert fires."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import ParameterError
from kfp_edge.observability.hub.rules.contracts import Alert
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge.observability.hub.rules.sites import site_rules
from kfp_edge.observability.site.queue_size import QueueSize, compute_queue_size
from kfp_edge.observability.site.series import Scraped, count_series, estimate_series

MINUTE = timedelta(minutes=1)
DAYS_3 = timedelta(hours=72)


def size(hours: float = 72, series: int = 500, targets: int = 2) -> QueueSize:
    return compute_queue_size(timedelta(hours=hours), series=series, targets=targets, interval=MINUTE)


class TestSize:
    def test_an_outage_of_72_hours_scraped_every_minute_is_4320_scrapes_of_each_target(self) -> None:
        assert (size().scrapes, size().requests, size().samples) == (4320, 8640, 2_160_000)

    def test_a_scrape_that_begins_within_the_outage_counts(self) -> None:
        assert compute_queue_size(timedelta(seconds=61), series=1, interval=MINUTE).scrapes == 2

    def test_the_queue_is_full_before_the_file_and_the_file_before_the_volume(self) -> None:
        for hours in (1, 24, 720):
            assert size(hours).backlog_bytes < size(hours).queue_bytes < size(hours).file_bytes
            assert 2 * size(hours).file_bytes < size(hours).volume_bytes

    def test_twice_the_outage_takes_twice_the_bytes(self) -> None:
        assert size(144).backlog_bytes == 2 * size(72).backlog_bytes

    def test_the_alert_fires_while_there_is_time_left(self) -> None:
        assert size().hours_until_alert == 54
        # the queue holds a quarter more than the outage of 72 h
        assert 90 <= size().hours_until_alert + size().hours_after_alert < 91

    def test_the_alert_is_the_one_that_the_rules_of_the_hub_have(self) -> None:
        filling = next(
            rule
            for rule in site_rules(AlertSettings(outage=DAYS_3)).rules
            if isinstance(rule, Alert) and rule.name == "KfpEdgeQueueFilling"
        )
        assert f"> {size().hours_until_alert * 3600:.0f}\n" in filling.expression

    @pytest.mark.parametrize(
        ("outage", "interval", "series", "reason"),
        [
            (DAYS_3, MINUTE, 0, "at least 1 series"),
            (timedelta(), MINUTE, 10, "longer than 0 s"),
            (DAYS_3, timedelta(), 10, "longer than 0 s"),
            (MINUTE, DAYS_3, 10, r"the interval \(259200 s\) is longer than the outage \(60 s\)"),
        ],
    )
    def test_numbers_that_make_no_queue_are_refused(
        self, outage: timedelta, interval: timedelta, series: int, reason: str
    ) -> None:
        with pytest.raises(ParameterError, match=reason):
            compute_queue_size(outage, series=series, interval=interval)


class TestSeries:
    METRICS = '# HELP a text\n# TYPE a gauge\na 1\n\n# TYPE b counter\nb{x="#"} 2\nb{x="y"} 3\n'

    def test_are_counted_in_the_metrics_of_each_model(self, tmp_path: Path) -> None:
        for name in ("one.txt", "two.txt"):
            (tmp_path / name).write_text(self.METRICS)
        counted = count_series([tmp_path / "one.txt", tmp_path / "two.txt"])
        assert (counted.series, counted.targets) == (6, 2)

    @pytest.mark.parametrize("text", ["", "<html></html>\n", "# only a comment\n"])
    def test_a_file_without_metrics_is_refused_with_the_command_that_saves_them(
        self, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "page").write_text(text)
        with pytest.raises(ParameterError, match="curl --silent --output"):
            count_series([tmp_path / "page"])

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="missing.txt cannot be read: No such file"):
            count_series([tmp_path / "missing.txt"])

    def test_the_collector_is_a_target_of_its_own(self) -> None:
        assert Scraped(100, 2).with_collector().targets == 3
        assert Scraped(100, 2).with_collector().series > 100


class TestCommand:
    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["observe", "queue", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def test_it_explains_each_number(self) -> None:
        output = self.run("--outage", "72h", "--interval", "60s", "--series", "1000")
        expected = compute_queue_size(DAYS_3, series=1030, targets=2, interval=MINUTE)
        for text in (
            "4,320 scrapes",
            "8,640",
            f"queue_size   {expected.queue_bytes} ",
            f"max_size     {expected.file_bytes} ",
            f"volume       {expected.volume_bytes // 2**20}Mi",
            "54 h into the outage",
            "from then on, 36.1 h are left",
        ):
            assert text in output

    def test_models_that_are_not_there_yet_are_estimated(self) -> None:
        estimated = estimate_series(3, 8).with_collector()
        assert f"{estimated.series:,} series x 4,320 scrapes" in self.run("--models", "3", "--features", "8")

    def test_metrics_of_a_model_are_counted(self, tmp_path: Path) -> None:
        (tmp_path / "metrics").write_text(TestSeries.METRICS)
        assert "3 of the models" in self.run("--metrics", str(tmp_path / "metrics"))

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "how many series are there"),
            (["--series", "9", "--features", "3"], "--series and --features are given; choose one"),
            (["--series", "9", "--outage", "3x"], "--outage 3x must be a duration such as 30m, 24h or 7d."),
            (["--series", "9", "--outage", f"{10**20}d"], "must be shorter than 1,000,000,000 days."),
        ],
    )
    def test_a_mistake_is_one_sentence(self, arguments: list[str], reason: str) -> None:
        with pytest.raises(ParameterError) as raised:
            CliRunner().invoke(app, ["observe", "queue", *arguments], catch_exceptions=False)
        assert reason in str(raised.value)
