"""The stage `claim_retraining`: its outputs, and what a user reads of them."""

from pathlib import Path

import pytest

from kfp_edge.components.claim_retraining.claim_retraining import claim_retraining as claim
from kfp_edge.components.claim_retraining.component import claim_retraining
from kfp_edge.errors import ParameterError


def test_the_first_run_is_granted_the_claim_and_the_next_one_refused_with_a_warning(tmp_path: Path) -> None:
    verdict, reason = claim_retraining.python_func("press", "first", str(tmp_path))
    assert (verdict, reason) == ("granted", "no other run retrains the model, and its limits allow it")
    result = claim("press", "second", str(tmp_path), "1d", 2, "24h")
    assert result.verdict == "refused"
    assert result.reason.startswith("run first has been retraining the model since ")
    assert result.warnings == [f"press is not retrained: {result.reason}"]


@pytest.mark.parametrize(
    ("model", "cool_down", "message"),
    [("Press 1", "1d", "did you mean press-1"), ("press", "soon", "cool_down is 'soon'")],
)
def test_a_parameter_that_cannot_be_used_claims_nothing(
    tmp_path: Path, model: str, cool_down: str, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        claim(model, "first", str(tmp_path), cool_down, 2, "24h")
    assert list(tmp_path.iterdir()) == []
