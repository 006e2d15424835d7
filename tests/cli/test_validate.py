"""`kfp-edge validate`: exit codes and output formats."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import PipelineError
from kfp_edge.spec.compiled_pipeline import load_validated
from support.pipelines import IMAGE
from support.pipelines import TEXT as CLEAN


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file for each result of the command."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "clean.yaml": CLEAN,
        "warned.yaml": CLEAN.replace("@sha256:" + "1" * 64, ":1", 1),
        "wrong.yaml": CLEAN.replace("executorLabel: exec-work\n", "executorLabel: gone\n"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def kfp_edge_validate(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *args])
    return result.exit_code, result.stdout


@pytest.mark.usefixtures("files")
def test_every_file_is_checked_and_one_with_an_error_fails_the_command() -> None:
    code, output = kfp_edge_validate("missing.yaml", "wrong.yaml", "clean.yaml")
    assert code == 1
    assert "missing.yaml: 1 error\n  error: KE100 cannot read the file: No such file or directory.\n" in output
    assert "wrong.yaml: 1 error\n  pipeline clean, 2 tasks\n" in output
    assert output.count("note: the other rules are applied once a backend would accept the file") == 1
    assert ": components.comp-work.executorLabel: there is no executor 'gone'" in output
    assert output.endswith("clean.yaml: OK\n  pipeline clean, 2 tasks\n  image " + IMAGE + "\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["clean.yaml"], 0),
        (["warned.yaml"], 0),
        (["--strict", "clean.yaml"], 0),
        (["--strict", "warned.yaml"], 1),
        (["--strict", "--ignore", "KE001", "warned.yaml"], 0),
        (["--ignore", "KE001", "wrong.yaml"], 1),
        ([], 2),
        (["--ignore", "KE042", "clean.yaml"], 2),
        (["--ignore", "KE102", "wrong.yaml"], 2),
        (["--explain", "KE042"], 2),
        (["--explain", "KE005"], 0),
    ],
)
def test_the_exit_code_reflects_errors_and_with_strict_warnings(args: list[str], code: int) -> None:
    assert kfp_edge_validate(*args)[0] == code


@pytest.mark.usefixtures("files")
def test_a_warning_is_printed_with_its_code_its_line_and_its_path() -> None:
    _, output = kfp_edge_validate("warned.yaml")
    path = "deploymentSpec.executors.exec-work.container.image: quay.io/plant/work:1 is named by a tag"
    assert re.search(rf"^warned.yaml: 1 warning\n(.*\n)*  warning: KE001 line \d+: {path}", output)


def test_a_rule_is_explained() -> None:
    _, output = kfp_edge_validate("--explain", "KE005")
    assert output.startswith("KE005 Side effect with caching on (error)\n\nWith caching on, ")
    assert "set_caching_options(False)" in output


@pytest.mark.usefixtures("files")
def test_json_has_everything_that_the_text_has() -> None:
    code, output = kfp_edge_validate("--format", "json", "clean.yaml", "warned.yaml", "missing.yaml")
    clean, warned, missing = json.loads(output)["files"]
    assert code == 1
    assert clean == {
        "file": "clean.yaml",
        "errors": 0,
        "warnings": 0,
        "pipelines": [{"name": "clean", "tasks": 2, "images": [IMAGE]}],
        "findings": [],
    }
    (finding,) = warned["findings"]
    assert (finding["code"], finding["severity"], finding["allowed"]) == ("KE001", "warning", None)
    assert (
        Path("warned.yaml").read_text().splitlines()[finding["line"] - 1][finding["column"] - 1 :].startswith("image:")
    )
    assert missing["findings"][0]["line"] is None


@pytest.mark.usefixtures("files")
def test_sarif_is_one_document() -> None:
    code, output = kfp_edge_validate("--format", "sarif", "warned.yaml")
    assert code == 0
    assert [result["ruleId"] for result in json.loads(output)["runs"][0]["results"]] == ["KE001"]


@pytest.mark.usefixtures("files")
def test_github_gets_annotation_commands_and_nothing_without_problems() -> None:
    _, output = kfp_edge_validate("--format", "github", "warned.yaml", "missing.yaml")
    warning, error = output.splitlines()
    assert re.fullmatch(
        r"::warning file=warned\.yaml,title=KE001 Image not pinned by digest,line=\d+,col=\d+::deploymentSpec\..*",
        warning,
    )
    assert error.startswith("::error file=missing.yaml,title=KE100 Not a KFP v2 pipeline::cannot read the file: ")
    assert kfp_edge_validate("--format", "github", "clean.yaml") == (0, "")


def test_no_text_in_a_pipeline_can_inject_a_workflow_command(files: Path) -> None:
    metadata = r'podMetadata: {annotations: {kfp-edge.io/side-effect: "100%\n::error::x"}}'
    text = re.sub(
        "^( +)(?=secretAsEnv:)", lambda indent: f"{indent[0]}{metadata}\n{indent[0]}", CLEAN, flags=re.MULTILINE
    )
    (files / "a,b:c.yaml").write_text(text, encoding="utf-8")
    _, output = kfp_edge_validate("--format", "github", "a,b:c.yaml")
    (line,) = output.splitlines()
    assert line.startswith("::error file=a%2Cb%3Ac.yaml,title=KE005 ")
    assert "side-effect: 100%25%0A::error::x" in line


def test_a_file_of_python_has_to_be_compiled_first(tmp_path: Path) -> None:
    (tmp_path / "mk.py").write_text("from kfp import dsl\n")
    hint = f"{tmp_path}/mk.py is Python; compile it first: `kfp dsl compile --py {tmp_path}/mk.py --output mk.yaml`."
    code, output = kfp_edge_validate(str(tmp_path / "mk.py"))
    assert (code, hint in output) == (1, True)
    with pytest.raises(PipelineError, match=re.escape(hint)):
        load_validated(tmp_path / "mk.py")
