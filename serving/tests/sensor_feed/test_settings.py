"""The configuration: what it means, and one sentence for everything that cannot be used."""

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_edge_serving.sensor_feed.configuration_table import ConfigurationError
from kfp_edge_serving.sensor_feed.settings_reader import parse_settings, read_settings
from serving_support.feed_process import write_configuration

VALID: dict[str, Any] = {
    "model": {"name": "press"},
    "broker": {"host": "broker.example", "client_id": "hall-7"},
    "sources": [{"topic": "plant/{group}/state", "columns": ["pressure"]}],
    "predictions": {"topic": "predictions/{group}"},
    "buffer": {"folder": "/var/lib/kfp-edge-feed"},
}


def changed(**tables: Any) -> dict[str, Any]:
    """Return the valid configuration with keys that are added to its tables; None takes a table out."""
    content = copy.deepcopy(VALID)
    for name, table in tables.items():
        if table is None:
            del content[name]
        else:
            content[name] = table if isinstance(table, list) else content.get(name, {}) | table
    return content


def test_what_is_not_given_has_a_default() -> None:
    settings = parse_settings(VALID)
    assert (settings.model.url, settings.broker.port, settings.port) == ("http://127.0.0.1:8080", 1883, 8082)
    assert (settings.broker.protocol, settings.broker.session_expiry) == ("5", 7 * 86_400)
    assert (settings.buffer.size, settings.buffer.overflow, settings.buffer.is_synced) == (64 << 20, "oldest", True)
    assert settings.rows.columns == ("pressure",)


def test_a_file_of_a_ca_means_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    settings = parse_settings(changed(broker={"ca_file": str(tmp_path / "ca.pem")}))
    assert (settings.broker.is_tls, settings.broker.port) == (True, 8883)


def test_columns_are_named_as_in_the_messages_or_mapped_to_their_names() -> None:
    source = {"topic": "plant/{group}/state", "columns": {"pressure [bar]": "p.value", "speed": "n"}}
    settings = parse_settings(changed(sources=[source]))
    assert settings.sources[0].columns == {"p.value": "pressure [bar]", "n": "speed"}


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ({"broker": {"hots": "x"}}, "[broker] has an unknown key 'hots'; did you mean 'host'?"),
        ({"model": None}, "the table [model] is missing."),
        ({"sources": None}, "the configuration has no [[sources]], of which it needs at least one."),
        ({"buffer": {"folder": 7}}, "'folder' of [buffer] must be a text."),
        (
            {"buffer": {"size": "64 MB"}},
            "'size' of [buffer] is '64 MB'; it must be a size such as '512KiB', '256MiB' or '1GiB'.",
        ),
        ({"buffer": {"overflow": "all"}}, "'overflow' of [buffer] is 'all'; it must be one of oldest, newest."),
        ({"broker": {"port": 0}}, "'port' of [broker] is 0; it must be an integer from 1 to 65535."),
        (
            {"broker": {"password": "x"}},
            "'password' of [broker] does not belong into the configuration; "
            "use 'password_file' or KFP_EDGE_FEED_PASSWORD.",
        ),
        ({"broker": {"ca_file": "/none.pem"}}, "'ca_file' of [broker] is '/none.pem', where there is no file."),
        (
            {"broker": {"protocol": "3.1.1", "session_expiry": "7d"}},
            "'session_expiry' of [broker] has no effect with MQTT 3.1.1, where the broker decides.",
        ),
        (
            {"model": {"url": "http://u:p@host:1"}},
            "'url' of [model] must be http:// or https://, a host and a port, without a login or a path.",
        ),
        ({"rows": {"every": "10s"}}, "[rows] needs 'max_age', a text."),
        (
            {"rows": {"every": "10", "max_age": "1m"}},
            "'every' of [rows] is '10'; it must be a time above 0 such as '500ms', '10s', '5m', '12h' or '7d'.",
        ),
        (
            {"rows": {"max_age": "1m"}},
            "'max_age' of [rows] needs 'every' or 'trigger'; without them, each message is a row by itself.",
        ),
        (
            {"rows": {"trigger": "speed", "max_age": "1m"}},
            "'trigger' of [rows] has 'speed', which is a column of no source.",
        ),
        (
            {"rows": {"every": "0.0001ms", "max_age": "1m"}},
            "'every' of [rows] is '0.0001ms'; it must be from 0.001 to 3.1536e+09 seconds.",
        ),
        ({"broker": {"keepalive": "1d"}}, "'keepalive' of [broker] is '1d'; it must be from 1 to 65535 seconds."),
        ({"broker": {"host": "hall..example"}}, "'host' of [broker] is 'hall..example', which is no name of a host."),
        (
            {"alarms": {"topic": "a", "output": "score", "above": math.nan}},
            "'above' of [alarms] is nan; it must be a number.",
        ),
        (
            {"sources": [{"topic": f"plant/{{group}}/{last}", "columns": ["pressure"]} for last in ("state", "#")]},
            "the topics 'plant/{group}/state' and 'plant/{group}/#' of [[sources]] overlap: a message of both would "
            "come twice.",
        ),
        (
            {"predictions": {"topic": "p/{site}"}},
            "'topic' of [predictions] has {site}; it may have {group} and {model}.",
        ),
        (
            {"predictions": {"topic": "plant/x/state"}},
            "the source 'plant/{group}/state' receives 'plant/x/state', which the feed sends.",
        ),
        ({"alarms": {"topic": "a", "output": "score"}}, "[alarms] needs one of 'equals', 'above' and 'below'."),
        ({"predictions": None}, "there is neither [predictions] nor [alarms], so nothing would come of it."),
        (
            {"sources": [{"topic": "plant/state", "columns": ["pressure"]}]},
            "the topic 'predictions/{group}' has {group}, but the sources have no group.",
        ),
        (
            {"sources": [{"topic": "plant/{group}"}]},
            "[sources 1] needs either 'column', where each message is one value, or 'columns', its fields.",
        ),
        (
            {"sources": [{"topic": "plant/{group}", "column": "pressure", "time_field": "at"}]},
            "'time_field' of [sources 1] needs messages that are JSON objects; "
            "name the field of the value in 'value_field'.",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tables: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(changed(**tables))
    assert str(raised.value) == error


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999", "http://host:x", "http://ho st", "http://a..b"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be http:// or https://, a host and a port"):
        parse_settings(changed(model={"url": url}))


def test_what_is_no_toml_is_refused_with_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "feed.toml"
    file.write_text("[model]\nname = press\n")
    with pytest.raises(ConfigurationError, match=r"feed\.toml is not TOML: .*line 2"):
        read_settings(file)


@pytest.mark.parametrize(("content", "code"), [(VALID, 0), (changed(model={"nmae": "x"}), 2)])
def test_the_command_checks_a_configuration(tmp_path: Path, content: dict[str, Any], code: int) -> None:
    file = write_configuration(tmp_path / "feed.toml", content)
    command = [sys.executable, "-m", "kfp_edge_serving.sensor_feed", "--check", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    errors = {
        0: "",
        2: f"kfp-edge-sensor-feed: error: {file}: [model] has an unknown key 'nmae'; did you mean 'name'?\n",
    }
    assert ended.stderr == errors[code]
