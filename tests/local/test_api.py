"""A pipeline runs from Python by its name, its file or its function; its results are read by name."""

import json
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import HTML, Artifact, Markdown, Metrics, Output

from kfp_edge import local
from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.compiling.compiler import compile_to_manifests, compile_to_yaml


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def weigh(grams: int, page: Output[HTML], metrics: Output[Metrics], scale: Output[Artifact]):
    from pathlib import Path

    Path(page.path).write_text("<!doctype html><p>heavy")
    Path(scale.path).write_text(f"{grams} g")
    metrics.log_metric("grams", grams)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def refuse(note: Output[Markdown]):
    from pathlib import Path

    from kfp_edge.errors import KfpEdgeError
    from kfp_edge.runtime.stage import stage

    with stage("refuse"):
        Path(note.path).write_text("# Refused")
        raise KfpEdgeError("this cannot be weighed; give another.")


@dsl.pipeline(name="weighing")
def weighing(grams: int = 3):
    weigh(grams=grams)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def doubt():
    from kfp_edge.runtime.stage import stage

    with stage("doubt") as warnings:
        warnings.append("the scale is not level")


@dsl.pipeline(name="doubting")
def doubting():
    doubt()
    doubt()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def stumble():
    raise ValueError("no scale")


@dsl.pipeline(name="stumbling")
def stumbling():
    stumble()


@dsl.pipeline(name="refusing")
def refusing():
    refuse()


@pytest.fixture(autouse=True)
def _work_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def weighed(tmp_path_factory) -> local.LocalRun:
    return local.run(weighing, {"grams": 7}, out=tmp_path_factory.mktemp("run") / "out")


def test_a_run_has_its_stages_and_metrics(weighed):
    (stage,) = weighed.stages()
    assert (weighed.status, stage.name, stage.status) == ("succeeded", "weigh", "succeeded")
    assert weighed.metrics() == {"grams": 7.0}


def test_a_run_without_a_release_has_no_image(weighed):
    assert weighed.image is None


def test_an_artifact_is_found_by_stage_and_name(weighed):
    assert weighed.artifact("weigh", "scale").read_text() == "7 g"


def test_a_missing_artifact_is_reported_with_the_existing_ones(weighed):
    with pytest.raises(KfpEdgeError, match=r"there is no weigh/scales in .*; it has: .*weigh/scale"):
        weighed.artifact("weigh", "scales")


def test_a_missing_report_is_reported_with_the_existing_ones(weighed):
    with pytest.raises(KfpEdgeError, match=r"there is no report of 'wheigh' in .*; reports: weigh\."):
        weighed.report("wheigh")


def test_a_notebook_renders_an_html_report_in_a_sandboxed_frame(weighed):
    page = weighed.report("weigh")
    assert page == "<!doctype html><p>heavy"
    assert '<iframe sandbox srcdoc="&lt;!doctype html&gt;&lt;p&gt;heavy"' in page._repr_html_()


def test_a_failed_run_raises_its_message_and_keeps_the_reports():
    with pytest.raises(local.RunFailedError, match=r"^refuse: this cannot be weighed; give another\.$") as failed:
        local.run(refusing)
    report = failed.value.run.report("refuse")
    assert (report._repr_html_(), report._repr_markdown_()) == (None, "# Refused")


def test_by_default_every_stage_is_printed_once_and_the_run_has_a_folder_of_its_own(capsys):
    folder = local.run(weighing).folder
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["weigh"]
    assert folder.parent == Path(".kfp-edge/runs")


def test_what_stages_warn_of_is_printed_once_at_the_end(capsys):
    run = local.run(doubting)
    assert capsys.readouterr().out.splitlines()[2:] == ["warning: the scale is not level"]
    assert run.summary["warnings"] == ["the scale is not level"]


def test_a_compiled_file_runs(tmp_path):
    path = tmp_path / "weighing.yaml"
    path.write_text(compile_to_yaml(weighing))
    assert local.run(path, {"grams": "5"}).metrics() == {"grams": 5.0}


@pytest.mark.parametrize("text", [None, "[", "a: 1"])
def test_a_file_that_is_not_a_pipeline_is_refused(tmp_path, text):
    path = tmp_path / "weighing.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(KfpEdgeError, match=r"weighing\.yaml"):
        local.run(path)


def test_kubernetes_manifests_are_not_run(tmp_path):
    path = tmp_path / "weighing.yaml"
    path.write_text(compile_to_manifests(weighing))
    with pytest.raises(KfpEdgeError, match="holds Kubernetes manifests"):
        local.run(path)


def test_an_unknown_name_is_refused():
    with pytest.raises(KfpEdgeError, match="there is no pipeline 'trainin'; did you mean training"):
        local.run("trainin")


def test_an_unknown_parameter_is_refused_before_anything_runs():
    with pytest.raises(KfpEdgeError, match="has no parameter 'gram'; did you mean grams"):
        local.run(weighing, {"gram": 1})
    assert not Path(".kfp-edge").exists()


def test_a_folder_with_an_earlier_run_is_left_unchanged(weighed):
    before = (weighed.folder / "summary.json").read_bytes()
    with pytest.raises(KfpEdgeError, match="holds an earlier run"):
        local.run(weighing, out=weighed.folder)
    assert json.loads(before)["metrics"] == {"grams": 7.0}
    assert (weighed.folder / "summary.json").read_bytes() == before


def test_a_run_that_failed_before_its_first_report_is_replaced(tmp_path):
    out = tmp_path / "corrected"
    with pytest.raises(KfpEdgeError):
        local.run(stumbling, out=out)
    (out / "notes.txt").write_text("mine")
    assert local.run(weighing, out=out).summary["status"] == "succeeded"
    assert (out / "notes.txt").read_text() == "mine"
    assert not list(out.glob("artifacts/*/stumble"))
