"""Everything that a run depends on is checked before its first stage: all findings at once, each one sentence."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl.executor import Executor

from kfp_edge.components.preflight import targets
from kfp_edge.components.preflight.component import preflight as preflight_component
from kfp_edge.components.preflight.parameters import check_parameters
from kfp_edge.components.preflight.preflight import preflight
from kfp_edge.errors import ParameterError
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling import compiler
from support.bundles import tiny_bundle
from support.fleets import site_with, write_fleet
from support.git_repositories import bare, git, push_from_another_clone
from support.registry import RegistryServer, write_auth_file


@functools.cache
def defaults_of(pipeline: str) -> dict[str, Any]:
    """Return the parameters of a pipeline as they are by default."""
    compiled = CompiledPipeline(compiler.compile_to_yaml(compiler.load_pipeline(pipeline)))
    return {name: item["defaultValue"] for name, item in compiled.parameters.items() if "defaultValue" in item}


@pytest.fixture
def defaults() -> dict[str, Any]:
    """The parameters of `edge_mlops` as they are by default."""
    return defaults_of("edge_mlops")


def found(values: Mapping[str, Any], *, in_pod: bool = False) -> str:
    with pytest.raises(ParameterError) as caught:
        check_parameters(values, in_pod=in_pod)
    return str(caught.value)


def test_the_defaults_are_valid(defaults: dict[str, Any]) -> None:
    check_parameters(defaults, in_pod=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gates": {"roc_auc_": 0.9}}, "did you mean roc_auc?"),
        ({"gates": {"recall": "much"}}, "the gate recall is 'much', which is no limit"),
        ({"startup_timeout": 0.0}, "startup_timeout is 0; give seconds above 0"),
        ({"staging_max_latency_ms": -1.0}, "staging_max_latency_ms is -1; give milliseconds above 0"),
        ({"image_pull_secret": "My Secret"}, "image_pull_secret is 'My Secret', which no pod can have"),
        (
            {"task": "anomalies"},
            "task is 'anomalies'; did you mean anomaly\\? choose one of classification, anomaly",
        ),
        ({"split": "groups", "group_column": "line"}, "split is 'groups'; did you mean group\\? choose one of"),
        ({"target": "failed", "drop": ["failed"]}, "column 'failed' is in drop and has another role too"),
        (
            {"may_be_missing": ["failed"], "target": "failed"},
            "names the column 'failed', which has the role target and",
        ),
        ({"may_be_missing": ["id"], "drop": ["id"]}, "names the column 'id', which is in drop and is no feature"),
        ({"columns": {"a": {"dtype_": "number"}}}, "the parameter columns is wrong at a.dtype_"),
        (
            {"columns": {"Druck": {"dtyp": "number"}}},
            "wrong at Druck.dtyp: no such property of a column; did you mean dtype\\? name one of dtype, min, max, ",
        ),
        ({"rolling_windows": [-1.0], "time_column": "t"}, "a rolling window must be at least 2 rows, not -1\\."),
        ({"rolling_windows": [2.5], "time_column": "t"}, "rolling_windows has 2.5; give whole numbers of rows"),
        ({"rolling_windows": ["a"], "time_column": "t"}, "rolling_windows has .a.; give whole numbers of rows"),
        ({"task": "anomaly", "false_alarm_rate": 5.0}, "false_alarm_rate is 5; give a share .* did you mean 5%"),
        ({"folds": 1}, "folds is 1; give a number from 2 to 20, or 0 for none\\."),
        ({"tune": -3}, "tune is -3; give a number of trials from 1 to 1,000, or 0 for none\\."),
        ({"tune": 5, "tune_minutes": -1.0}, "tune_minutes is -1; give a number above 0, or 0 for no limit\\."),
        ({"tune_metric": "recall"}, "tune_metric is recall, but nothing is tuned; give .*, such as tune=20\\."),
        ({"tune_minutes": 5.0}, "tune_minutes is 5, but nothing is tuned; give .*, such as tune=20\\."),
        ({"tune": 5, "tune_metric": "rocauc"}, "tune_metric is 'rocauc', which is no metric; did you mean roc_auc"),
        (
            {"tune": 5, "tune_metric": "specificity"},
            "tune_metric is 'specificity', which is measured for task=anomaly only, and the task is classification",
        ),
        (
            {"tune": 5, "tune_metric": "roc_auc_p_value"},
            "tune_metric is 'roc_auc_p_value', of which neither more nor less makes a better model",
        ),
        (
            {"tune": 5, "task": "regression", "estimator": "linear_regression"},
            "tune is 5, but nothing is searched for linear_regression, linear regression by .*; write tune=0",
        ),
        (
            {"tune": 5, "estimator": "logistic_regression", "hyperparameters": {"C": 1.0}},
            "hyperparameters gives everything that is searched for logistic_regression \\(C\\); leave one out",
        ),
        (
            {"estimator": "linear_svm", "hyperparameters": {"penalty": "l1", "loss": "hinge"}},
            "hyperparameters of linear_svm do not work together: .*penalty='l1' and loss='hinge' is not supported",
        ),
        (
            {"task": "regression", "estimator": "ridge", "quantiles": [0.1, 0.9]},
            "ridge predicts no quantiles; give estimator=hist_gradient_boosting",
        ),
        (
            {"task": "regression", "quantiles": [0.1, 0.1000000001]},
            "quantiles has 0\\.1 and 0\\.1000000001, .*; give levels that are at least 0\\.001 apart",
        ),
        ({"quantiles": [0.1, 0.9]}, "quantiles is given, which task=classification does not use; leave it empty, or"),
        (
            {"task": "regression", "threshold": {"recall": 0.9}},
            "threshold is given, which task=regression does not use",
        ),
        (
            {"false_alarm_rate": 0.02},
            "false_alarm_rate is given, which task=classification does not use; ask .*threshold=",
        ),
        (
            {"task": "regression", "false_alarm_rate": 0.02},
            "false_alarm_rate is given, which task=regression does not use; leave it out",
        ),
        (
            {"estimator": "random_forest", "hyperparameters": {"n_estimators": True}},
            "hyperparameters of random_forest: n_estimators cannot be true; give a number",
        ),
        (
            {"tune": 5, "task": "regression", "tune_metric": "recall"},
            "measured for task=classification and task=anomaly only, and the task is regression",
        ),
        (
            {"gates": {"cost_per_row": 5}, "threshold": {"recall": 0.9}},
            "cost_per_row is not measured with these parameters: it needs threshold=\\{missed_cost: ",
        ),
        (
            {"task": "regression", "gates": {"interval_width": 5}},
            "interval_width is not measured with these parameters: it needs a model .* with quantiles=",
        ),
        (
            {"task": "regression", "tune": 5, "tune_metric": "pinball_loss"},
            "pinball_loss is not measured with these parameters: it needs a model .* with quantiles=",
        ),
        ({"tune": 5, "tune_metric": "cost_per_row"}, "cost_per_row is not measured .*: it needs threshold="),
        ({"task": "anomaly", "calibration": "sigmoid"}, "calibration is given, which task=anomaly does not use"),
        ({"model_name": "Press_1"}, "model_name 'Press_1' cannot be used; .* did you mean press-1"),
        ({"model_name": "1-press"}, "with a letter first"),
        ({"model_version": "1.4.0+x"}, "model_version '1.4.0\\+x' cannot be used"),
        ({"model_version": "1..2"}, "cannot be the name of a git branch"),
        ({"build": "appended"}, "build is 'appended'; did you mean append\\? choose one of"),
        ({"build_options": {"context_": "s3://a/b"}}, "build_options has no option 'context_'"),
        ({"staging": "kubernetes-pod"}, "staging is 'kubernetes-pod'; did you mean kubernetes"),
        (
            {"staging_options": {"cpu": "many"}},
            "staging_options: cpu cannot be 'many'; it is no quantity of Kubernetes; write processors, such as 2",
        ),
        ({"registry": "quay.io/plant"}, "'quay.io/plant' is not a valid image location"),
        ({"serving_image": "quay.io/plant/serving"}, "serving_image cannot be used: "),
        ({"ring": "Ring 1"}, "ring 'Ring 1' cannot be used"),
        ({"gitops_target": {"file": "values.yaml"}}, "gitops_target needs file, and either image or yaml_path"),
        ({"gitops_target": {"file": "../a", "image": "press"}}, "gitops_target cannot have the file '../a'"),
        ({"gitops_target": {"file": "a", "images": "press"}}, "gitops_target has no images; did you mean image"),
        ({"gitops_branch": "a..b"}, "cannot be the name of a git branch"),
        ({"gitops_repo": "git@github.com:plant/edge.git"}, "has an SSH address; use its https:// URL"),
        ({"gitops_repo": "http://git.example.com/a"}, "must be a folder, a file:// URL or an https://"),
        ({"cpu": "0.5 cores"}, "cpu is '0.5 cores', which no pod can have"),
        ({"memory": "512Mi"}, "memory is '512Mi', but a task requests 1Gi"),
        ({"cpu": "two"}, "cpu is 'two', which no pod can have; it is no quantity of Kubernetes; write processors"),
        ({"data_connection": "Plant Data"}, "data_connection is 'Plant Data'"),
        ({"node_selector": {"gpu": True}}, "node_selector.gpu is True, .* as a text in quotes"),
        ({"tolerations": [{"keys": "gpu"}]}, "tolerations.0.keys is 'gpu'"),
    ],
)
def test_a_parameter_that_a_later_stage_would_refuse_is_found(
    defaults: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        check_parameters({**defaults, **change}, in_pod=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retraining_state": ""}, "retraining_state is ''; give s3://BUCKET/PREFIX, or a folder."),
        ({"retraining_state": "gs://plant/state"}, "retraining_state is 'gs://plant/state'; give s3://BUCKET/PREFIX"),
        ({"cool_down": "soon"}, "cool_down is 'soon'; it "),
        ({"max_retrainings_per_week": 0}, "max_retrainings_per_week is 0; give a whole number from 1 on"),
        ({"retraining_timeout": "0s"}, "retraining_timeout is 0; give the longest time that a run may take"),
        ({"compared_metric": "rows"}, "compared_metric is 'rows', of which no value is better; name one such as"),
        ({"compared_metric": "rmse"}, "compared_metric is 'rmse', which task=classification does not measure"),
        ({"compared_metric": "cost_per_row"}, "cost_per_row is not measured with these parameters: it needs"),
        ({"drift_window": "a while"}, "drift_window"),
    ],
)
def test_a_parameter_that_only_matters_once_a_model_has_drifted_is_checked_before(
    change: dict[str, Any], message: str
) -> None:
    values = {**defaults_of("retraining"), "task": "classification"}
    check_parameters(values, in_pod=False)
    assert message in found({**values, **change})


def test_pods_cannot_keep_their_claims_in_a_folder() -> None:
    values = {**defaults_of("retraining"), "registry": "docker://quay.io/plant", "retraining_state": "state"}
    assert "retraining_state is 'state', a folder that no other run on the cluster sees" in found(values, in_pod=True)


def test_all_findings_are_reported_at_once(defaults: dict[str, Any]) -> None:
    message = found({**defaults, "task": "x", "model_name": "X", "build": "x", "ring": "X"})
    assert message.startswith("4 things have to be changed before the first stage: (1) task is 'x'; ")
    assert "(2) model_name 'X'" in message
    assert "(3) build is 'x'" in message
    assert "(4) ring 'X'" in message


def test_every_fault_of_one_stage_is_reported_at_once(defaults: dict[str, Any]) -> None:
    message = found(
        {
            **defaults,
            "task": "classification",
            "split": "timed",
            "test_fraction": 1.5,
            "seed": -1,
            "separator": "ab",
            "decimal": ";",
            "columns": {"a": {"dtype_": "number"}, "b": {"min_": 1}},
            "false_alarm_rate": 5.0,
            "gates": {"roc_auc_": 0.9, "recall": "much", "specificity": 0.9},
            "build": "x",
            "staging": "y",
            "registry": "quay.io/plant",
        }
    )
    assert message.startswith("14 things")
    for part in (
        "split is 'timed'",
        "test_fraction must",
        "seed must",
        "separator is",
        "decimal is",
        "columns is wrong at a",
        "columns is wrong at b",
        "false_alarm_rate is given, which task=classification does not use",
        "'roc_auc_' names no metric",
        "recall is 'much'",
        "specificity is measured for task=anomaly only",
        "build is 'x'",
        "staging is 'y'",
        "'quay.io/plant' is not a valid image location",
    ):
        assert part in message


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_false_alarm_rate_of_a_brought_model_that_is_no_detector_is_found(task: str) -> None:
    message = found({"model": "example:ai4i", "model_classes": {}, "task": task, "false_alarm_rate": 0.02})
    assert f"false_alarm_rate is given, which is that of a detector, and the task is {task}; leave it out" in message


def test_on_a_cluster_auto_means_what_needs_a_registry(defaults: dict[str, Any]) -> None:
    message = found(defaults, in_pod=True)
    assert "a build in the cluster cannot push to oci:" in message
    assert "cannot be staged in a cluster" in message


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ([], "assets is empty"),
        ([{"model_name": "press-1"}], "asset 1 has no text as data"),
        ([{"model_name": "a", "data": "synthetic:ai4i"}, {"model_name": 2, "data": "x"}], "asset 2 has no text as mo"),
        ([{"model_name": "a", "data": "synthetic:ai4i"}] * 2, "assets has 2 models called a"),
        ([{"model_name": "Press", "data": "synthetic:ai4i"}], "did you mean press?"),
    ],
)
def test_the_assets_of_a_fleet_are_checked(assets: list[object], message: str) -> None:
    assert message in found({"assets": assets, "task": "classification", "target": "failed", "model_version": "1.0"})


def test_what_a_run_reads_is_looked_for(tmp_path: Path) -> None:
    values = {"data": str(tmp_path / "no.csv"), "target": "failed", "windows": "", "champion": str(tmp_path / "old")}
    with pytest.raises(ParameterError) as caught:
        preflight(values)
    assert f"(1) data: there is no file or folder '{tmp_path}/no.csv'" in str(caught.value)
    assert f"(2) champion: there is no file or folder '{tmp_path}/old/manifest.json'" in str(caught.value)


def test_claims_that_cannot_be_read_are_found_before_a_model_drifts(tmp_path: Path) -> None:
    values = {"model_name": "pump", "retraining_state": str(tmp_path)}
    preflight(values)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump" / "claims.json").write_text("[")
    with pytest.raises(ParameterError, match=r"pump/claims\.json has no claims that can be read"):
        preflight(values)


def test_a_champion_that_is_there_passes(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "champion", "pump")
    preflight({"data": "synthetic:ai4i?rows=10", "champion": str(bundle.folder)})


def test_in_a_pod_a_local_path_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "in_pod", lambda: True)
    with pytest.raises(ParameterError, match="A pod does not see the files of your machine: name an s3://"):
        preflight({"data": "machines.csv", "target": "failed"})


def test_the_repository_is_asked_for_the_branch_that_the_site_follows(tmp_path: Path) -> None:
    folder = bare(tmp_path / "gitops.git")
    preflight({"gitops_repo": str(folder)})  # empty: the first commit creates the branch
    push_from_another_clone(folder, "main", {"a.txt": "a"})
    before = git(folder, "for-each-ref")
    preflight({"gitops_repo": str(folder), "gitops_branch": "main"})
    with pytest.raises(ParameterError, match="has no branch main2; did you mean main?"):
        preflight({"gitops_repo": str(folder), "gitops_branch": "main2"})
    assert git(folder, "for-each-ref") == before


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        ({"sites/a/pump/kustomization.yaml": "images: []\n"}, {}, "is of the layout without rings"),
        ({"apps/a.yaml": "a: 1\n"}, {}, "has no fleet.yaml, but apps/a.yaml"),
        ({"fleet.yaml": "kind: Fleet\n"}, {}, "fleet.yaml, line 1: has no apiVersion"),
        ({"a.yaml": "image: &a x\n"}, {"gitops_target": {"file": "a.yaml", "yaml_path": "image"}}, "has the anchor &a"),
        ({"a.yaml": "a: 1\n"}, {"gitops_target": {"file": "b.yaml", "image": "x"}}, "has no file b.yaml on main"),
    ],
)
def test_what_the_commit_would_be_refused_for_is_found_before_the_training(
    tmp_path: Path, files: dict[str, str], values: dict[str, Any], message: str
) -> None:
    folder = bare(tmp_path / "gitops.git")
    push_from_another_clone(folder, "main", files)
    with pytest.raises(ParameterError, match=message):
        preflight({"gitops_repo": str(folder), "model_name": "pump", "model_version": "1.0.0", **values})
    assert git(folder, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_ring_that_does_not_exist_and_a_branch_in_the_way_are_found_before_the_training(tmp_path: Path) -> None:
    folder = bare(tmp_path / "gitops.git")
    fleet = write_fleet(tmp_path / "fleet", [site_with("hall-1")])
    push_from_another_clone(folder, "main", {"fleet.yaml": (fleet / "fleet.yaml").read_text()})
    values = {"gitops_repo": str(folder), "model_name": "pump", "model_version": "1.0.0"}
    preflight(values)
    with pytest.raises(ParameterError, match=r"has no ring canry; did you mean canary\?"):
        preflight({**values, "ring": "canry"})
    git(folder, "branch", "kfp-edge/pump", "main")
    with pytest.raises(ParameterError, match="rename or delete kfp-edge/pump"):
        preflight(values)


def test_a_repository_that_does_not_exist_is_found_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"there is no git repository in .*; create one with `git init --bare"):
        preflight({"gitops_repo": str(tmp_path / "nowhere.git")})


def test_a_registry_is_asked_whether_it_accepts_the_images_of_the_model(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"registry": registry.url, "model_name": "pump", "build": "append"}
    preflight(values)
    write_auth_file(tmp_path / "auth.json", registry.host, "wrong")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(ParameterError, match="pump-candidate refused the credentials"):
        preflight(values)
    with pytest.raises(ParameterError, match="serving:1 refused|serving refused the credentials"):
        preflight({"registry": f"oci:{tmp_path}", "model_name": "pump", "serving_image": f"{registry.url}/serving:1"})


def test_the_component_passes_the_parameters_that_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = {"parameterValues": {"data": "synthetic:ai4i?rows=10", "gates": {"recall_": 0.5}}}
    with pytest.raises(SystemExit):
        Executor(
            executor_input={"inputs": inputs, "outputs": {"outputFile": str(tmp_path / "out.json")}},
            function_to_execute=preflight_component.python_func,
        ).execute()
    assert "the gate 'recall_' names no metric; did you mean recall?" in capsys.readouterr().err
