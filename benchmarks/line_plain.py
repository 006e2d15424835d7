"""The line's work in one plain Python process, the peer of `line.py`: python line_plain.py PARAMETERS-AS-JSON."""

import json
import subprocess
import sys
from pathlib import Path

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.export.export import export_model
from kfp_edge.components.gitops_commit.gitops_commit import Release, Target, commit_release
from kfp_edge.components.ingest.ingest import IngestRequest, ingest
from kfp_edge.components.release.release import release
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.components.train import report
from kfp_edge.components.train.train import fit, measure, threads_for
from kfp_edge.components.verify.verify import Requirements, verify
from kfp_edge.git.repository import GitRemote
from kfp_edge.ml import dataset
from kfp_edge.ml.skops_files import save_model


def main(parameters: str) -> None:
    """Run every stage's function in the current folder."""
    given = json.loads(parameters)
    given["drop"] = tuple(given.get("drop", ()))
    here = Path.cwd()
    ingest(IngestRequest(**given), here / "train", here / "test", here / "ingest.md")
    learned, held_out = dataset.load(here / "train"), dataset.load(here / "test")
    with threads_for(learned):
        estimator = fit(learned, seed=0, false_alarm_rate=0.001)
        report.write(here / "train.html", estimator, held_out, measure(estimator, held_out), seed=0)
    save_model(estimator, here / "model")
    export_model(here / "model", learned, here / "onnx")
    verify(
        here / "model",
        here / "onnx",
        learned,
        held_out,
        Requirements({"roc_auc": 0.7}),
        page=here / "verify.html",
        bundle=here / "bundle",
        name="machine-failure",
        version="0.1.0",
        revision="",
    )
    registry = f"oci:{here}/registry"
    candidate = containerize(here / "bundle", registry)
    staging_test(candidate, here / "bundle", here / "staging.md")
    released = release(candidate, registry, "machine-failure", "0.1.0")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", "gitops.git"], check=True)
    what = Release("machine-failure", "0.1.0", "localhost/machine-failure", released.digest)
    commit_release(what, Target(GitRemote.parse("gitops.git"), "main", "site-1", "edge-models"))


if __name__ == "__main__":
    main(*sys.argv[1:])
