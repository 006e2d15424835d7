"""What tests of the client share: a small pipeline, and a git checkout to submit it from."""

import json
import subprocess
from pathlib import Path

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from kfp_edge.client import Client
from kfp_edge.client.kfp_api import Endpoint
from kfp_edge.spec import compiler
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
def tell(tags: list, about: dict):
    """Tell."""


@dsl.pipeline(name="small")
def inner(rate: float, note: str):
    """Draw a stage in a pipeline of its own."""
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
    """Learn, judge, tell."""
    judged = inner(rate=rate, note=note).after(learn(rows=rows))
    tell(tags=tags, about=about).after(judged)


STAGES = ["learn", "judge", "tell"]


def client_of(fake: FakeKfp, namespace: str = "ds-project") -> Client:
    """A client that reads the fake's token anew whenever it has to."""
    return Client(Endpoint(fake.url, namespace, lambda: fake.token))


def leave_results(fake: FakeKfp) -> None:
    """Let the stages of every run leave their metrics and the report."""
    for stage, numbers in METRICS.items():
        fake.store.contents[stage, "metrics"] = json.dumps(numbers).encode()
    fake.store.contents["learn", "report"] = REPORT.encode()


def write_small(folder: Path) -> Path:
    """The small pipeline, compiled."""
    path = folder / "small.yaml"
    path.write_text(compiler.compile_to_yaml(small), encoding="utf-8")
    return path


def checkout(folder: Path) -> str:
    """Make a git repository of a folder, with all that is in it, and return its commit."""
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--allow-empty", "-m", "all"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
