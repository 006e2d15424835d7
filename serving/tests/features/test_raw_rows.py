"""Raw rows: the server keeps the last ones of each group, and computes the windows that end at a new one."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.repository import ModelRepository
from serving_support.bundles import sign
from serving_support.onnx_models import load
from serving_support.windowed_bundle import expected, row, windowed_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return windowed_bundle(tmp_path)


@pytest.fixture
def model(folder: Path) -> Model:
    """Load a model of windows of 3 rows, without any row so far."""
    return load(folder)


def send(model: Model, *rows: Any) -> tuple[int, Any]:
    """Return status and body of the answer to rows."""
    answer = json_codec.infer(model, orjson.dumps({"rows": rows}))
    return answer.status, orjson.loads(answer.body)


def seen(answer: tuple[int, Any]) -> list[list[float]]:
    """Return what the model saw of each row that was answered, to four decimals."""
    outputs = answer[1].get("outputs")
    if outputs is None:
        return []
    data, width = outputs[0]["data"], outputs[0]["shape"][1]
    rounded = [round(value, 4) for value in data]
    return [rounded[start : start + width] for start in range(0, len(data), width)]


def refusal(model: Model, *rows: Any) -> tuple[int, str]:
    with pytest.raises(RequestError) as refused:
        send(model, *rows)
    return refused.value.status, str(refused.value)


# Warm-up


def test_before_a_window_is_full_the_answer_names_group_rows_seen_and_rows_needed(model: Model) -> None:
    status, answer = send(model, row(0, 1))
    assert status == 202
    assert "outputs" not in answer
    assert answer["not_answered"] == [
        {"row": 0, "status": "warming_up", "group": "A", "rows_seen": 1, "rows_needed": 3}
    ]
    assert send(model, row(1, 5))[1]["not_answered"][0]["rows_seen"] == 2
    assert send(model, row(2, 3)) == (200, send(model, row(2, 3))[1])


def test_a_full_window_is_answered_with_the_features_of_training(model: Model) -> None:
    answers = [send(model, row(second, second**2)) for second in range(6)]
    assert [status for status, _ in answers] == [202, 202, 200, 200, 200, 200]
    assert [seen(answer) for answer in answers[2:]] == [
        [expected([(s - 2) ** 2, (s - 1) ** 2, s**2])] for s in range(2, 6)
    ]


def test_the_history_can_be_sent_in_one_request(model: Model) -> None:
    status, answer = send(model, *(row(second, second) for second in range(5)))
    assert (status, answer["answered"]) == (202, [2, 3, 4])
    assert [entry["row"] for entry in answer["not_answered"]] == [0, 1]
    assert seen((status, answer)) == [expected([0, 1, 2]), expected([1, 2, 3]), expected([2, 3, 4])]
    assert send(model, row(5, 5), row(6, 6))[0] == 200


def test_every_group_has_windows_of_its_own(model: Model) -> None:
    rows = [row(second, second + 100 * (machine == "B"), machine) for second in range(3) for machine in ("A", "B")]
    status, answer = send(model, *rows)
    assert (status, answer["answered"]) == (202, [4, 5])
    assert seen((status, answer)) == [expected([0, 1, 2]), expected([100, 101, 102])]


def test_rows_of_many_groups_in_one_request_are_answered_each_from_its_own(model: Model) -> None:
    machines = [f"machine {number}" for number in range(50)]
    for second in range(2):
        send(model, *(row(second, second + number, machine) for number, machine in enumerate(machines)))
    rows = [row(2, 9 + number if number % 7 else None, machine) for number, machine in enumerate(machines)]
    known = [[number, 1 + number, *([9 + number] if number % 7 else [])] for number in range(50)]
    answer = json_codec.infer(
        model,
        orjson.dumps({"rows": rows, "outputs": [{"name": "seen", "parameters": {"binary_data": True}}]}),
    )
    table = np.frombuffer(answer.body[answer.json_bytes :], np.float32).reshape(50, 6)
    assert answer.status == 200
    assert [list(map(float, line[1:5])) for line in table] == [
        pytest.approx(expected(window)[1:5], abs=1e-4) for window in known
    ]


def test_a_machine_that_starts_does_not_keep_the_others_from_being_answered(model: Model) -> None:
    send(model, *(row(second, second) for second in range(3)))
    status, answer = send(model, row(3, 3), row(3, 9, "B"))
    assert (status, answer["answered"]) == (202, [0])
    assert seen((status, answer)) == [expected([1, 2, 3])]


def test_without_groups_all_rows_are_one_series(tmp_path: Path) -> None:
    model = load(windowed_bundle(tmp_path, group_column=None))
    rows = [{"at": second, "pressure": second} for second in range(3)]
    assert "needs its time" in refusal(model, *rows)[1]
    rows = [{"at": f"2024-01-0{day}", "pressure": day} for day in (1, 2, 3)]
    status, answer = send(model, *rows)
    assert (status, answer["not_answered"][0]) == (
        202,
        {"row": 0, "status": "warming_up", "rows_seen": 1, "rows_needed": 3},
    )
    assert seen((status, answer)) == [expected([1, 2, 3])]


def test_a_restart_loses_the_rows_and_warms_up_again(folder: Path) -> None:
    send(load(folder), *(row(second, second) for second in range(3)))
    restarted = load(folder)
    assert send(restarted, row(3, 3))[1]["not_answered"][0]["rows_seen"] == 1


# Late rows and repeated ones


def test_a_row_that_is_sent_twice_gets_the_same_answer_and_counts_once(model: Model) -> None:
    send(model, row(0, 1), row(1, 2))
    first = send(model, row(2, 4))
    assert send(model, row(2, 4)) == first
    assert seen(send(model, row(3, 8))) == [expected([2, 4, 8])]
    assert model.windows is not None
    assert model.windows.count_rows()["repeated"] == 1


def test_another_row_of_the_same_time_is_refused_and_nothing_is_stored(model: Model) -> None:
    send(model, row(0, 1), row(1, 2))
    status, message = refusal(model, row(0, 0, "B"), row(1, 3))
    assert status == 409
    assert message.startswith("row 1 has the time of another row of its group and other values")
    assert seen(send(model, row(2, 4))) == [expected([1, 2, 4])]
    assert send(model, row(0, 0, "B"))[1]["not_answered"][0]["rows_seen"] == 1


def test_a_late_row_is_ignored_and_refused(model: Model) -> None:
    send(model, row(0, 1), row(1, 2), row(5, 3))
    status, message = refusal(model, row(4, 100))
    assert status == 409
    assert message.startswith("row 0 is late: the last row of group 'A' is of 2024-01-01T00:00:05Z; send the rows in")
    assert seen(send(model, row(6, 4))) == [expected([2, 3, 4])]


def test_a_late_row_among_others_is_named(model: Model) -> None:
    send(model, row(0, 1), row(1, 2), row(5, 3))
    status, answer = send(model, row(4, 100), row(6, 4))
    assert (status, answer["answered"]) == (202, [1])
    assert answer["not_answered"] == [{"row": 0, "status": "late", "group": "A", "last_time": "2024-01-01T00:00:05Z"}]
    assert seen((status, answer)) == [expected([2, 3, 4])]


def test_until_its_windows_are_full_a_group_takes_its_history_also_after_its_newest_row(model: Model) -> None:
    send(model, row(3, 8))
    status, answer = send(model, row(1, 2), row(2, 4), row(3, 8))
    assert (status, answer["answered"]) == (202, [2])
    assert seen((status, answer)) == [expected([2, 4, 8])]
    assert seen(send(model, row(4, 16))) == [expected([4, 8, 16])]
    assert refusal(model, row(0, 1))[0] == 409


def test_the_answers_to_a_history_are_those_in_the_order_of_time(model: Model) -> None:
    send(model, row(9, 90))
    send(model, row(2, 20))
    history = [row(second, 10 * second) for second in (5, 3, 4, 9)]
    status, answer = send(model, *history)
    assert (status, answer["answered"]) == (202, [0, 2, 3])
    assert seen((status, answer)) == [expected(window) for window in ([30, 40, 50], [20, 30, 40], [40, 50, 90])]


def test_a_history_that_contradicts_the_newest_row_is_refused_and_not_stored(model: Model) -> None:
    send(model, row(3, 8))
    assert refusal(model, row(1, 2), row(2, 4), row(3, 9))[0] == 409
    assert send(model, row(3, 8))[1]["not_answered"][0]["rows_seen"] == 1


def test_a_repeated_batch_is_answered_for_its_last_row(model: Model) -> None:
    batch = [row(second, second) for second in range(4)]
    first = send(model, *batch)
    again = send(model, *batch)
    assert again[1]["answered"] == [3]
    assert seen(again) == seen(first)[-1:]


def test_where_training_had_rows_of_the_same_time_each_of_them_counts(tmp_path: Path) -> None:
    model = load(windowed_bundle(tmp_path, has_unique_times=False))
    assert seen(send(model, row(0, 1), row(0, 1), row(0, 7))) == [expected([1, 1, 7])]


def test_a_gap_counts_rows_not_time(model: Model) -> None:
    assert seen(send(model, row(0, 1), row(1, 2), row(3000, 3))) == [expected([1, 2, 3])]


# What is stored


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"pressure": "high"}, "row 1, column 'pressure'"),
        ({"pressure": 1e39}, "too large for FP32"),
        ({"machine": None}, "row 1 needs its group in column 'machine'"),
        ({"at": None}, "row 1 needs its time in column 'at'"),
        (
            {"speed": 1},
            "row 1 has a column 'speed' that the model does not have; it takes 'at', 'machine', 'pressure'.",
        ),
        ({"pressure mean 3": 2.0}, "row 1 has a column 'pressure mean 3', which the server computes itself"),
    ],
)
def test_of_a_refused_request_no_row_is_stored(model: Model, bad: dict[str, Any], message: str) -> None:
    status, text = refusal(model, row(0, 1), row(1, 2) | bad)
    assert status == 400
    assert message in text
    assert send(model, row(0, 7))[1]["not_answered"][0]["rows_seen"] == 1


def test_missing_values_are_skipped_as_in_training(model: Model) -> None:
    send(model, row(0, 1), row(1, None))
    assert seen(send(model, row(2, 4))) == [[4, *expected([1, 4])[1:]]]


def test_a_feature_without_any_value_is_named_where_it_may_not_be_missing(model: Model) -> None:
    status, answer = send(model, row(0, None), row(1, None), row(2, None))
    assert status == 202
    assert "outputs" not in answer
    assert answer["not_answered"][-1] == {"row": 2, "status": "incomplete", "group": "A", "column": "pressure mean 3"}
    assert answer["missing"] == [["pressure"]] * 3


def test_of_too_many_groups_the_one_used_least_recently_is_forgotten(folder: Path) -> None:
    model = load(folder, max_groups=2)
    send(model, *(row(second, second, machine) for machine in ("A", "B") for second in range(3)))
    send(model, row(3, 3, "A"))
    send(model, row(0, 0, "C"))
    assert send(model, row(4, 4, "A"))[0] == 200
    assert send(model, row(3, 3, "B"))[1]["not_answered"][0]["rows_seen"] == 1
    assert model.windows is not None
    assert model.windows.count_groups() == (1, 1, 2)


def test_memory_limits_the_number_of_groups(folder: Path) -> None:
    model = load(folder, max_history=5 * 3 * 4)
    send(model, *(row(0, 0, f"machine {number}") for number in range(100)))
    assert model.windows is not None
    assert model.windows.count_groups() == (0, 5, 95)


# Beside raw rows


def test_tensors_of_computed_features_are_taken_as_before(model: Model) -> None:
    features = expected([1, 2, 3])
    request = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 6], "data": features}]}
    answer = json_codec.infer(model, orjson.dumps(request))
    assert answer.status == 200
    assert orjson.loads(answer.body)["outputs"][0]["data"] == pytest.approx(features)


def test_raw_outputs_are_those_of_the_answered_rows(model: Model) -> None:
    rows = [row(second, second) for second in range(3)]
    answer = json_codec.infer(model, orjson.dumps({"rows": rows, "parameters": {"binary_data_output": True}}))
    head = orjson.loads(answer.body[: answer.json_bytes])
    assert (answer.status, head["answered"], head["outputs"][0]["shape"]) == (202, [2], [1, 6])
    assert len(answer.body) - (answer.json_bytes or 0) == 6 * 4


def test_drift_is_counted_on_the_features_of_answered_rows(folder: Path) -> None:
    histogram = {"edges": [0.0, 1.0, 2.0, 3.0, 4.0], "counts": [1, 1, 1, 1]}
    reference = {"rows": 4, "features": {"pressure": histogram, "pressure mean 3": histogram}}
    (folder / "reference.json").write_text(json.dumps(reference))
    sign(folder)
    model = load(folder)
    send(model, *(row(second, second) for second in range(4)))
    counts = {feature.column.name: feature.bins.counts.tolist() for feature in model.statistics.features()}
    assert (counts["pressure"], counts["pressure mean 3"]) == ([0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 0])


def test_the_self_test_replays_rows_and_leaves_none(folder: Path) -> None:
    model = Model(load_bundle(folder), ModelOptions())
    self_test.replay(model)
    model.start_serving(is_slow=False)
    assert send(model, row(0, 0))[1]["not_answered"][0]["rows_seen"] == 1


def test_a_bundle_whose_windows_are_not_those_of_its_samples_is_refused(folder: Path) -> None:
    samples = json.loads((folder / "samples.json").read_text())
    samples["samples"][1]["response"]["outputs"][0]["data"][1] += 0.5
    (folder / "samples.json").write_text(json.dumps(samples))
    sign(folder, task="anomaly")
    with pytest.raises(StartError, match="recorded request 1"):
        self_test.replay(Model(load_bundle(folder), ModelOptions()))


@pytest.mark.parametrize(
    "change",
    [{"windows": []}, {"time_kind": "date"}, {"windows": [{"name": "x", "source": "y"}]}, {"time_column": ...}],
)
def test_a_definition_that_does_not_follow_the_contract_is_refused(folder: Path, change: dict[str, Any]) -> None:
    content = json.loads((folder / "features.json").read_text()) | change
    (folder / "features.json").write_text(json.dumps({name: value for name, value in content.items() if value != ...}))
    sign(folder, task="anomaly")
    with pytest.raises(StartError, match="does not follow the bundle contract"):
        load_bundle(folder)


def test_a_new_version_of_a_model_goes_on_with_the_rows_of_the_old_one(tmp_path: Path) -> None:
    windowed_bundle(tmp_path)
    repository = ModelRepository(tmp_path, ModelOptions())
    repository.load()
    send(repository.catalog.find("press").model, *(row(second, second) for second in range(3)))
    windowed_bundle(tmp_path, version="2", rows=4)
    repository.refresh()
    repository.refresh()
    new = repository.catalog.find("press").model
    assert new.bundle.version == "2"
    assert seen(send(new, row(3, 3))) == [expected([0, 1, 2, 3])]


# Threads


def in_threads(*calls: Any) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        results[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_threads_that_send_different_groups_do_not_disturb_each_other(model: Model) -> None:
    def send_all(machine: str) -> list[Any]:
        return [seen(send(model, row(second, second, machine))) for second in range(300)]

    wanted = [[], [], *([expected([s - 2, s - 1, s])] for s in range(2, 300))]
    assert in_threads(lambda: send_all("A"), lambda: send_all("B")) == [wanted, wanted]


def test_two_threads_that_send_the_same_rows_store_each_row_once(model: Model) -> None:
    def send_all() -> None:
        for second in range(300):
            try:
                send(model, row(second, second))
            except RequestError as error:
                assert error.status == 409  # noqa: PT017 - the other thread is ahead

    in_threads(send_all, send_all)
    assert seen(send(model, row(300, 300))) == [expected([298, 299, 300])]
    assert model.windows is not None
    counts = model.windows.count_rows()
    assert counts["answered"] == 300 - 2 + 1
    assert sum(counts.values()) == 601
