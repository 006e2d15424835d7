from pathlib import Path

import pytest

from support.ingest import IngestRunner


@pytest.fixture
def runner(tmp_path: Path) -> IngestRunner:
    return IngestRunner(tmp_path)
