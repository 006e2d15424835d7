"""A small pipeline, and helpers to submit it from a git checkout."""

import json
import subprocess
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from kfp_edge.client import Client, Endpoint, Run
from kfp_edge.spec import compile_to_yaml
from support.fake_kfp import FakeKfp

METRICS = {"learn": {"auc": 0.9, "rows": 100}, "judge": {"auc": 0.8}}
REPORT = "<h1>learned</h1>"


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def learn(rows: int, metrics: Output[Metrics], report: Output[HTML]):
    """Learn."""


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def judge(rate: float, note: str, metrics: Output[Metrics]):
    """Judge."""


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def publish(tags: list, about: dict):
    """Publish."""


@dsl.pipeline(name="small")
def inner(rate: float, note: str):
    """Run one stage in a nested pipeline."""
    judge(rate=rate, note=note)


@dsl.pipeline(name="small")
def small(
    rows: int,
    rate: float = 0.1,
    note: str = "",
    tags: list = ["a"],  # noqa: B006  KFP copies it
    about: dict = {},  # noqa: B006
    revision: str = "",
):
    """Run three stages, one of them in a nested pipeline."""
    judged = inner(rate=rate, note=note).after(learn(rows=rows))
    publish(tags=tags, about=about).after(judged)


@dsl.pipeline(name="stubborn")
def stubborn():
    """Run a stage that may be repeated."""
    publish(tags=[], about={}).set_retry(num_retries=2, backoff_duration="0s")


@dsl.pipeline(name="looped")
def looped(rates: list[float] = [0.1, 0.2, 0.3]):  # noqa: B006
    """Run a stage for each item of a list."""
    with dsl.ParallelFor(rates) as rate:
        judge(rate=rate, note="")


@dsl.pipeline(name="twice")
def twice(note: str = "a"):
    """Run a stage of one name in two nested pipelines, the second under a condition."""
    inner(rate=0.1, note=note)
    with dsl.If(note == "b"):
        inner(rate=0.2, note=note)


STAGES = ["learn", "judge", "publish"]


def client_of(server: FakeKfp, namespace: str = "ds-project") -> Client:
    """Return a client whose token is always the current one of the server."""
    return Client(Endpoint(server.url, namespace, lambda: server.token))


def submit_small(server: FakeKfp, note: str = "", **options: Any) -> Run:
    """Submit the small pipeline; `options` are those of `Client.submit`."""
    return client_of(server).submit(small, {"rows": 3, **({"note": note} if note else {})}, **options)


def only(objects: dict[str, Any]) -> Any:
    """Return the only object in a collection of the fake's store."""
    (value,) = objects.values()
    return value


def set_results(server: FakeKfp) -> None:
    """Make the stages of every run produce metrics and a report."""
    for stage, metrics in METRICS.items():
        server.store.contents[stage, "metrics"] = json.dumps(metrics).encode()
    server.store.contents["learn", "report"] = REPORT.encode()


def write_small(folder: Path) -> Path:
    """Compile the small pipeline to a file in a folder."""
    path = folder / "small.yaml"
    path.write_text(compile_to_yaml(small), encoding="utf-8")
    return path


def make_checkout(folder: Path) -> str:
    """Commit everything in a folder to a new git repository, and return the commit."""
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--allow-empty", "-m", "all"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
