"""Options: on the command line, in the environment, and in the README."""

import re
from dataclasses import fields

import pytest

from kfp_edge_serving.limits import Limits
from kfp_edge_serving.settings import Settings, find_unknown_variables, parse
from serving_support.paths import SERVING

README = SERVING / "README.md"
#: Limits that no option sets.
FIXED_LIMITS = {
    "max_head",
    "max_queued",
    "max_probe_connections",
    "linger_timeout",
    "grpc_max_connections",
    "grpc_idle_timeout",
}


def documented_defaults() -> dict[str, str]:
    """Return the default of every option as the table of the README has it, empty where it has none."""
    table = README.read_text().partition("## Options")[2].partition("\n## ")[0]
    defaults: dict[str, str] = {}
    for line in re.findall(r"^\| `--.*$", table, re.MULTILINE):
        options, texts = (cell.strip() for cell in line.split("|")[1:3])
        names = re.findall(r"`--([\w-]+)`", options)
        values = texts.split(", ") if texts else [""] * len(names)
        defaults.update(zip(names, (value.strip("`") for value in values), strict=True))
    return defaults


def as_argument(text: str) -> str:
    """Return a value of the README as the command line takes it."""
    if text.endswith(" MiB"):
        return str(int(text.removesuffix(" MiB")) << 20)
    return text.replace(",", "") if text[0].isdigit() else text


def test_an_option_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_MAX_BODY", "1000")
    assert parse([]).limits.max_body == 1000


def test_the_command_line_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_PORT", "9000")
    assert parse(["--port", "9001"]).port == 9001


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_TOKEN_FILE", "")
    assert parse([]).token_file is None


def test_grpc_can_be_switched_off() -> None:
    assert parse(["--grpc-port", "off"]).grpc_port is None


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", "99999", "'99999' is not a port from 0 to 65535"),
        ("--grpc-port", "on", "'on' is not a port from 0 to 65535"),
        ("--max-body", "0", "'0' is not a number from 1 to"),
        ("--max-wait", "soon", "'soon' is not a number of seconds from 0 to 86400"),
        ("--self-test", "no", "'no' is neither on nor off"),
        ("--out-of-range", "drop", "'drop' is not one of off, count, clip, reject"),
    ],
)
def test_an_invalid_value_is_reported(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([option, value])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"kfp-edge-serving: error: argument {option}: {message}")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (
            "KFP_EDGE_PORT",
            "tcp://10.0.0.1:80",
            "not a port from 0 to 65535; Kubernetes sets it for the Service kfp-edge: set `enableServiceLinks: false` "
            "in the spec of the pod",
        ),
        ("KFP_EDGE_ACCESS_LOG", "yes", "neither on nor off"),
        ("KFP_EDGE_OUT_OF_RANGE", "drop", "not one of off, count, clip, reject"),
    ],
)
def test_an_invalid_variable_is_reported_by_its_name(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        parse([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"kfp-edge-serving: error: {variable} is {value!r}, {reason}\n"


@pytest.mark.parametrize(("text", "is_on"), [("true", True), ("True", True), ("false", False), ("off", False)])
def test_on_and_off_may_be_true_and_false(text: str, is_on: bool) -> None:
    assert parse(["--access-log", text]).access_log is is_on


def test_variables_that_are_no_options_are_listed_with_the_one_that_may_be_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = ("IMAGE_DIGEST", "PORT", "PORT_80_TCP_ADDR", "SERVICE_PORT_HTTP", "MAX_BODY", "FEED_PASSWORD")
    for name in (*known, "MAXBODY", "COLOUR"):
        monkeypatch.setenv(f"KFP_EDGE_{name}", "1")
    assert find_unknown_variables() == ["KFP_EDGE_COLOUR", "KFP_EDGE_MAXBODY (did you mean KFP_EDGE_MAX_BODY?)"]


def test_the_readme_lists_every_option() -> None:
    names = {field.name for field in (*fields(Settings), *fields(Limits))} - FIXED_LIMITS - {"limits"}
    assert documented_defaults().keys() == {name.replace("_", "-") for name in names}


@pytest.mark.parametrize(("name", "text"), documented_defaults().items())
def test_the_default_in_the_readme_is_that_of_the_option(name: str, text: str) -> None:
    if text:
        assert parse([f"--{name}", as_argument(text)]) == parse([])
    else:
        assert getattr(parse([]), name.replace("-", "_")) is None


def test_without_arguments_every_option_has_its_default() -> None:
    assert parse([]) == Settings()
