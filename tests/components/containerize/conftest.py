"""A bundle and a base of a few bytes."""

from pathlib import Path

import pytest

from kfp_edge.images.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.images import tiny_base


@pytest.fixture(autouse=True)
def _no_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.parent.name}-{tmp_path.name}"[:60])


@pytest.fixture
def base(tmp_path: Path) -> ImageRef:
    return tiny_base(tmp_path / "base")
