"""The page of the sensor feed has a configuration that works, and names every metric and every key."""

import re
import tomllib

from kfp_edge_serving.sensor_feed.metrics import FeedGauges, FeedMetrics, exposition
from kfp_edge_serving.sensor_feed.settings_reader import parse_settings
from support.documents import read_blocks
from support.paths import ROOT

PAGE = ROOT / "docs/sensor-feed.md"


def test_the_configuration_of_the_page_is_valid(tmp_path):
    (block,) = read_blocks(PAGE, "toml")
    (tmp_path / "ca.pem").write_text("")
    settings = parse_settings(tomllib.loads(block.replace("/etc/kfp-edge/ca.pem", str(tmp_path / "ca.pem"))))
    assert settings.broker.is_tls
    assert settings.rows.columns == ("temperature", "vibration")


def test_the_page_names_every_metric():
    gauges = FeedGauges(True, True, 0, 0, 0, 0, 0, None)
    text = exposition(FeedMetrics(), gauges).decode()
    names = re.findall(r"^# TYPE kfp_edge_feed_(\w+)", text, re.MULTILINE)
    assert len(names) > 20
    page = PAGE.read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_page_names_every_key_of_the_configuration():
    source = (ROOT / "serving/kfp_edge_serving/sensor_feed/settings_reader.py").read_text()
    calls = r'table\.(?:text|optional_text|path|flag|integer|number|scalar|choice|duration|size|texts|table)\("(\w+)"'
    keys = set(re.findall(calls, source))
    assert len(keys) > 20
    page = PAGE.read_text()
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", page)] == []
