"""The summary of a model for the reviewer of its commit."""

from pathlib import Path

from kfp_edge.components.gitops_commit.gitops_commit import Release
from kfp_edge.components.gitops_commit.model_summary import summarize_model
from kfp_edge.components.gitops_commit.report import render_report
from kfp_edge.gitops.changes import Change
from kfp_edge.ml.bundle import ThresholdChoice
from support.bundles import tiny_bundle

DIGEST = f"sha256:{'a' * 64}"


def _summarize(folder: Path) -> str:
    bundle = tiny_bundle(folder, metrics={"roc_auc": 0.9, "recall": 0.75, "recall(Fail)": 0.75})
    manifest = bundle.manifest.model_copy(update={"positive": "Fail", "intervals": {"recall": (0.5, 0.91)}})
    return summarize_model(manifest, bundle.signature)


def test_it_states_the_threshold_with_what_it_was_chosen_for_and_what_was_expected(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path)
    choice = ThresholdChoice(
        asked={"missed_cost": 2000, "false_alarm_cost": 200},
        origin="8,000 training rows",
        expected={"recall": 0.9079, "cost_per_row": 15.07},
    )
    probabilities = bundle.signature.outputs[0].model_copy(
        update={"name": "probabilities", "threshold": 0.039236, "positive": "Fail", "choice": choice}
    )
    signature = bundle.signature.model_copy(update={"outputs": (probabilities,)})
    assert summarize_model(bundle.manifest, signature).splitlines()[-1] == (
        "A row is Fail where its probability is above 0.039236: the least cost where a missed positive costs 2000 and "
        "a false alarm 200; expected were recall 0.9079, cost_per_row 15.07."
    )


def test_it_names_the_positive_class_and_the_metrics_with_their_intervals(tmp_path: Path) -> None:
    assert _summarize(tmp_path).splitlines() == [
        "Measured on held-out rows; the positive class is Fail:",
        "",
        "- recall: 0.75 (95 % interval 0.5 to 0.91)",
        "- roc_auc: 0.9",
    ]


def test_the_commit_message_has_it_between_subject_and_trailers(tmp_path: Path) -> None:
    message = Release("pump", "1.0.0", "quay.io/pump", DIGEST, _summarize(tmp_path)).message("site-1")
    subject, heading, metrics, trailers = message.split("\n\n")
    assert subject == "feat(site-1): pump 1.0.0 at aaaaaaaaaaaa"
    assert heading.endswith("the positive class is Fail:")
    assert "- recall: 0.75" in metrics
    assert trailers.startswith("Image: quay.io/pump@sha256:")


def test_the_report_for_the_reviewer_has_it(tmp_path: Path) -> None:
    summary = _summarize(tmp_path)
    change = Change("repo", "review", "abc", "", committed=False)
    assert summary in render_report(change, body=summary)
