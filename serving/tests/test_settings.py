"""Options: on the command line, in the environment, and in the README."""

import pytest

from kfp_edge_serving.settings import Settings, parse
from serving_support.paths import SERVING

README = SERVING / "README.md"


def test_an_option_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_MAX_BODY", "1000")
    assert parse([]).max_body == 1000


def test_the_command_line_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_PORT", "9000")
    assert parse(["--port", "9001"]).port == 9001


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_TOKEN_FILE", "")
    assert parse([]).token_file is None


def test_grpc_can_be_switched_off() -> None:
    assert parse(["--grpc-port", "off"]).grpc_port is None


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--port", "99999", "'99999' is not a port from 0 to 65535"),
        ("--grpc-port", "on", "'on' is not a port from 0 to 65535"),
        ("--max-body", "0", "'0' is not a number from 1 to"),
        ("--max-wait", "soon", "'soon' is not a number of seconds from 0 to 86400"),
        ("--self-test", "no", "'no' is neither on nor off"),
        ("--out-of-range", "drop", "invalid choice: 'drop'"),
    ],
)
def test_a_value_that_cannot_be_is_told(
    option: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([option, value])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("name", Settings.__dataclass_fields__)
def test_every_option_is_in_the_readme(name: str) -> None:
    assert f"`--{name.replace('_', '-')}`" in README.read_text()
