"""The same work in one plain Python process, the peer of `pipeline.py`: python pipeline_plain.py PARAMETERS-JSON."""

import json
import subprocess
import sys
from pathlib import Path

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.export.export import export_model
from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_release
from kfp_edge.components.gitops_commit.model_summary import summarize_model
from kfp_edge.components.gitops_commit.report import render_report
from kfp_edge.components.ingest.ingest import ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.release.release import release
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.components.train.report import write_report
from kfp_edge.components.train.train import fit, measure
from kfp_edge.components.verify.verify import Requirements, verify
from kfp_edge.git.remote import GitRemote
from kfp_edge.ml import dataset
from kfp_edge.ml.bundle import Bundle, ModelIdentity
from kfp_edge.ml.skops_model import save_model
from kfp_edge.ml.threads import limit_threads
from kfp_edge.storage.files import write_file
from kfp_edge.tasks.task import TrainingOptions


def main(parameters: str) -> None:
    """Run every stage's function in the current folder."""
    options = json.loads(parameters)
    options["drop"] = tuple(options.get("drop", ()))
    here = Path.cwd()
    ingest(IngestOptions(**options), here / "train", here / "test", here / "ingest.md")
    train_data, test_data = dataset.load(here / "train"), dataset.load(here / "test")
    with limit_threads(train_data):
        estimator = fit(train_data, TrainingOptions())
        evaluation = measure(estimator, test_data)
        write_report(here / "train.html", train_data, test_data, evaluation, TrainingOptions())
    save_model(estimator, here / "model")
    export_model(here / "model", train_data, here / "onnx")
    verify(
        here / "model",
        here / "onnx",
        train_data,
        test_data,
        Requirements({"roc_auc": 0.7}),
        ModelIdentity("machine-failure", "0.1.0"),
        report=here / "verify.html",
        bundle=here / "bundle",
    )
    registry = f"oci:{here}/registry"
    candidate = containerize(here / "bundle", registry)
    staging_test(candidate, here / "bundle", here / "staging.md")
    released = release(candidate, registry, "machine-failure", "0.1.0")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", "gitops.git"], check=True)
    bundle = Bundle.load(here / "bundle")
    summary = summarize_model(bundle.manifest, bundle.signature)
    what = Release("machine-failure", "0.1.0", "localhost/machine-failure", released.digest, summary)
    committed = commit_release(what, Destination(GitRemote.parse("gitops.git"), "main"))
    write_file(here / "gitops.md", render_report(committed, summary).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
