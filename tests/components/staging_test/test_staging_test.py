import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.staging_test.inference_messages import flatten, malformed_requests, max_difference, one_row
from kfp_edge.components.staging_test.report import render_report
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from kfp_edge.reports.check import Check
from support.bundles import tiny_bundle, tiny_signature
from support.images import left_behind, serving_image, serving_image_that
from support.interruptions import announcing
from support.modelcars import base_with_shell, modelcar
from support.staging import ANSWERS, CRASHES, HANGS, STOPS_BADLY, results, wait_for


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.parent.name}-{tmp_path.name}"[:60])


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.md"


def candidate(bundle: Bundle, base: ImageRef) -> ImageRef:
    return containerize(bundle.folder, f"oci:{bundle.folder.parent}/registry", str(base))


@pytest.mark.containers
class TestAGoodCandidate:
    def test_passes_every_check_and_leaves_nothing(self, bundle: Bundle, report: Path) -> None:
        staging_test(candidate(bundle, serving_image()), bundle.folder, report)
        check_results = results(report)
        assert set(check_results.values()) == {"passed"}
        assert {
            "liveness",
            "readiness",
            "metadata",
            "samples",
            "refuses: not JSON",
            "clean stop",
        } <= check_results.keys()
        assert left_behind(bundle) == []

    @pytest.mark.parametrize("base", [base_with_shell, lambda _: "scratch"], ids=["with a shell", "scratch"])
    def test_that_is_a_modelcar_is_run_with_the_serving_image(
        self, bundle: Bundle, report: Path, tmp_path: Path, base: Callable[[Path], str]
    ) -> None:
        image = modelcar(bundle, f"oci:{tmp_path}/registry", base(tmp_path / "base"))
        staging_test(image, bundle.folder, report, serving_image=str(serving_image()))
        assert set(results(report).values()) == {"passed"}
        assert "clean stop" in results(report)
        assert left_behind(bundle) == []

    def test_that_is_too_slow_for_the_budget_fails_with_both_numbers(self, bundle: Bundle, report: Path) -> None:
        image = candidate(bundle, serving_image())
        with pytest.raises(
            KfpEdgeError, match=r"latency of one row was not met: measured p50 .* ms, required p99 at most 1e-06 ms"
        ):
            staging_test(image, bundle.folder, report, max_latency_ms=1e-6)
        assert [name for name, result in results(report).items() if result == "failed"] == ["latency of one row"]

    def test_of_another_bundle_fails(self, bundle: Bundle, report: Path, tmp_path: Path) -> None:
        image = candidate(bundle, serving_image())
        other = tiny_bundle(tmp_path / "other", version=bundle.manifest.version, offset=1.0)
        with pytest.raises(KfpEdgeError, match="made from the bundle"):
            staging_test(image, other.folder, report)
        assert results(report)["samples"] == "failed"

    def test_that_does_not_match_the_signature_fails(self, bundle: Bundle, report: Path, tmp_path: Path) -> None:
        signature = tiny_signature()
        renamed = signature.model_copy(update={"outputs": (signature.outputs[0].model_copy(update={"name": "other"}),)})
        other = tiny_bundle(tmp_path / "other", version=bundle.manifest.version, signature=renamed)
        with pytest.raises(KfpEdgeError):
            staging_test(candidate(bundle, serving_image()), other.folder, report)
        assert results(report)["metadata"] == "failed"


@pytest.mark.containers
@pytest.mark.parametrize(
    ("program", "sentence", "logged"),
    [
        (CRASHES, r"liveness was not met: measured the container ended with exit code 1", "the model cannot be loaded"),
        (
            HANGS,
            r"liveness was not met: measured no response: the connection failed, required 200 within 2 s",
            "loading",
        ),
        (
            ANSWERS.format(status=503),
            r"readiness was not met: measured 503 \{\}, required 200 within 2 s",
            '"GET /v2/health/ready',
        ),
        (ANSWERS.format(status=200), r"metadata was not met: ", "POST /v2/models/tiny"),
    ],
    ids=["crashes", "hangs", "never ready", "answers nonsense"],
)
def test_a_bad_candidate_fails_with_a_sentence_and_its_log_in_the_report(
    bundle: Bundle, report: Path, program: str, sentence: str, logged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_image_that(program) as base:
        image = candidate(bundle, base)
        with pytest.raises(KfpEdgeError, match=sentence):
            staging_test(image, bundle.folder, report, startup_timeout=2)
        assert left_behind(bundle) == []
    assert logged in report.read_text()
    assert logged in capsys.readouterr().out


@pytest.mark.containers
def test_a_candidate_that_accepts_malformed_requests_fails(bundle: Bundle, report: Path) -> None:
    with serving_image_that(ANSWERS.format(status=200)) as base:
        image = candidate(bundle, base)
        with pytest.raises(KfpEdgeError):
            staging_test(image, bundle.folder, report, startup_timeout=20)
    assert results(report)["refuses: not JSON"] == "failed"


@pytest.mark.containers
def test_a_candidate_that_stops_with_an_error_fails(bundle: Bundle, report: Path) -> None:
    with serving_image_that(STOPS_BADLY) as base:
        image = candidate(bundle, base)
        with pytest.raises(KfpEdgeError, match="clean stop was not met: measured ended with exit code 4"):
            staging_test(image, bundle.folder, report)


@pytest.mark.containers
def test_an_altered_bundle_is_refused_before_anything_runs(bundle: Bundle, report: Path) -> None:
    image = candidate(bundle, serving_image())
    with bundle.model.open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(KfpEdgeError, match="was altered"):
        staging_test(image, bundle.folder, report)
    assert not report.exists()


@pytest.mark.containers
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_test_leaves_nothing_running(bundle: Bundle, report: Path, signum: signal.Signals) -> None:
    with serving_image_that(HANGS) as base:
        process = start_process(candidate(bundle, base), bundle, report)
        wait_for(lambda: any("Up" in line for line in states(bundle)))
        os.killpg(process.pid, signum)
        assert process.wait() == 130
    assert left_behind(bundle) == []
    assert "interrupted" in report.read_text()


@pytest.mark.containers
def test_an_interrupt_while_the_image_is_loaded_leaves_no_image(bundle: Bundle, report: Path, tmp_path: Path) -> None:
    with serving_image_that(HANGS) as base, announcing("skopeo", tmp_path) as (environment, wait_for_start):
        process = start_process(candidate(bundle, base), bundle, report, environment)
        wait_for_start()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 130
    assert left_behind(bundle) == []


@pytest.mark.containers
def test_ctrl_c_twice_while_the_container_starts_leaves_nothing(bundle: Bundle, report: Path) -> None:
    with serving_image_that(HANGS) as base:
        process = start_process(candidate(bundle, base), bundle, report)
        wait_for(lambda: bool(states(bundle)))
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 130
    assert left_behind(bundle) == []


class TestDifference:
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 1))
    def test_is_the_largest_of_the_floats(self, values: list[float], shift: float) -> None:
        moved = [value + shift for value in values]
        expected = max(abs(a - b) for a, b in zip(values, moved, strict=True))
        assert max_difference(response("FP32", values), response("FP32", moved)) == expected

    @pytest.mark.parametrize(
        "actual",
        [
            None,
            {"outputs": []},
            {"error": "no"},
            {"outputs": [{"name": "y", "datatype": "FP64", "shape": [1], "data": [1.0]}]},
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0, 1.0]}]},
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": []}]},
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": ["1"]}]},
        ],
    )
    def test_is_infinite_when_the_response_has_another_form(self, actual: object) -> None:
        assert max_difference(response("FP32", [1.0]), actual) == math.inf

    def test_is_zero_between_nan_and_nan_which_json_has_as_null(self) -> None:
        assert max_difference(response("FP32", [None, 1.0]), response("FP32", [None, 1.5])) == 0.5
        assert max_difference(response("FP32", [None]), response("FP32", [1.0])) == math.inf

    def test_is_infinite_when_a_label_differs(self) -> None:
        assert max_difference(response("BYTES", ["fail"]), response("BYTES", ["ok"])) == math.inf


def test_nested_data_is_read_in_row_major_order() -> None:
    assert flatten([[1, 2], [3, 4]]) == flatten([1, 2, 3, 4]) == [1, 2, 3, 4]


def test_one_row_is_the_first_of_a_batch() -> None:
    tensor = {"name": "input", "datatype": "FP32", "shape": [2, 2], "data": [[1.0, 2.0], [3.0, 4.0]]}
    row = one_row({"inputs": [tensor]}, tiny_signature())["inputs"][0]
    assert (row["shape"], row["data"]) == ([1, 2], [1.0, 2.0])


def test_of_raw_rows_one_row_is_the_last_which_the_server_can_answer() -> None:
    request = {"rows": [{"at": second, "pressure": 50} for second in range(3)]}
    assert one_row(request, tiny_signature()) == {"rows": [{"at": 2, "pressure": 50}]}


def test_every_malformed_request_differs_from_the_valid_one() -> None:
    request = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]}
    good = ("/v2/models/m/versions/1/infer", json.dumps(request).encode())
    requests = malformed_requests("/v2/models/m/versions/1", request)
    assert good not in requests.values()
    assert len(set(requests.values())) == len(requests)


def test_a_log_cannot_break_out_of_the_report() -> None:
    image = ImageRef("oci", "/registry/tiny", "sha256:" + "0" * 64)
    text = render_report(image, [Check("a", False, "x | y\nz", "w")], "It failed.", "```\n# not a heading")
    assert "\n# not a heading" not in text
    assert "| x \\| y z |" in text


def response(datatype: str, data: Sequence[float | str | None]) -> dict[str, object]:
    return {"outputs": [{"name": "y", "datatype": datatype, "shape": [len(data)], "data": data}]}


def start_process(
    image: ImageRef, bundle: Bundle, report: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    script = f"""
        from pathlib import Path
        from kfp_edge.components.staging_test.run import staging_test
        from kfp_edge.images.oci.references import ImageRef
        from kfp_edge.runtime.stage import stage
        with stage("staging_test"):
            staging_test(ImageRef.parse({str(image)!r}), Path({str(bundle.folder)!r}), Path({str(report)!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def states(bundle: Bundle) -> list[str]:
    label = f"label=io.kfp-edge.bundle.sha256={bundle.digest}"
    command = ["podman", "ps", "--all", "--filter", label, "--format", "{{.Status}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
