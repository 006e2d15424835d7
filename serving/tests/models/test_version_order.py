"""Which version of a model is the latest."""

import random
from pathlib import Path

import pytest

from kfp_edge_serving.models.version_order import version_key
from serving_support.bundles import PUMP_ROW, numeric_bundle
from serving_support.server_process import running

#: Each list is in order, from the first to the latest.
ORDERS = {
    # https://semver.org/#spec-item-11
    "Semantic Versioning": [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "2.0.0",
        "2.1.0",
        "2.1.1",
        "2.10.0",
    ],
    "a release takes over from its candidates": ["1.0.0-1", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.0.1-0", "1.0.1"],
    "integers": ["0", "1", "2", "9", "10", "20261129"],
    "numbers with dots": ["1", "1.4", "1.4.0.1", "1.4.1", "1.10", "2"],
    "integers and semantic versions": ["1", "1.4.0", "2", "2.0.1", "10"],
    "other text comes before numbers": ["2026-11-29", "latest", "nightly-7", "nightly-10", "v2", "1", "1.0.0"],
    "builds of one version": ["1.0.0", "1.0.0+1", "1.0.0+2", "1.0.1"],
    "other spellings of one version": ["1", "1.0", "1.0.0"],
    "leading zeros": ["01", "2", "03"],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_versions_are_in_this_order(order: list[str]) -> None:
    mixed = random.Random(0).sample(order, len(order))
    assert sorted(mixed, key=version_key) == order


@pytest.mark.parametrize(
    ("versions", "latest"), [(("1.0.0", "1.0.0-rc1"), "1.0.0"), (("9", "10"), "10"), (("1.9.0", "1.10.0"), "1.10.0")]
)
def test_a_request_without_a_version_is_answered_by_the_latest(
    tmp_path: Path, versions: tuple[str, ...], latest: str
) -> None:
    for version in versions:
        numeric_bundle(tmp_path, version=version)
    with running(tmp_path) as server:
        _, answer = server.send("POST", "/v2/models/pump/infer", PUMP_ROW)
    assert answer["model_version"] == latest
