"""Claim the retraining of a model for a run."""

from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_edge.kubernetes import in_pod
from kfp_edge.ml.model_names import check_name
from kfp_edge.retraining.claims import ClaimPolicy, check_state, claim


@dataclass(frozen=True)
class Result:
    """The outputs of the component, and what the user should know."""

    verdict: str
    reason: str
    warnings: list[str]


def claim_retraining(model: str, run: str, state: str, cool_down: str, max_per_week: int, timeout: str) -> Result:
    """Claim the retraining of a model; the component describes the parameters.

    Raises:
        ParameterError: a parameter has a value that cannot be used.
        StorageError: the claims cannot be read or written.
    """
    check_name(model)
    check_state(state, in_pod=in_pod())
    policy = ClaimPolicy.parse(cool_down, max_per_week, timeout)
    decision = claim(state, model, run, policy, datetime.now(UTC))
    verdict = "granted" if decision.is_granted else "refused"
    print(f"{verdict}: {decision.reason}", flush=True)
    refusal = [] if decision.is_granted else [f"{model} is not retrained: {decision.reason}"]
    return Result(verdict, decision.reason, refusal)
