"""The table of `kfp-edge doctor` loses no word, however narrow the terminal, and is not folded in a file."""

import pytest
from rich.console import Console

from kfp_edge.cli import doctor
from kfp_edge.diagnosis import Diagnosis

IMAGE = "registry.example.com/plant/work@sha256:" + "0" * 64
DIAGNOSES = [
    Diagnosis("images of the stages", IMAGE, "ok"),
    Diagnosis("Secret login", "does not exist in ds-project", "optional", "create it with the keys password, user"),
]


def test_what_is_piped_is_one_line_for_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    doctor._report(DIAGNOSES, "", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    for diagnosis in DIAGNOSES:
        (line,) = [line for line in lines if diagnosis.name in line]
        assert diagnosis.details in line
        assert diagnosis.remedy in line


def test_a_narrow_terminal_shows_every_character() -> None:
    console = Console(width=60, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(doctor._table(DIAGNOSES))
    text = captured.get()
    assert "…" not in text
    shown = "".join(text.split())
    assert all(word in shown for word in ("optional", "password,"))
    assert text.count("0") == 64
