"""The KFP component definition of `claim_retraining`."""

from typing import NamedTuple

from kfp_edge.runtime.component import component


@component
def claim_retraining(
    model_name: str,
    run_id: str,
    retraining_state: str,
    cool_down: str = "1d",
    max_retrainings_per_week: int = 2,
    retraining_timeout: str = "24h",
) -> NamedTuple("Outputs", [("verdict", str), ("reason", str)]):
    """Claim the retraining of a model, so that no two runs train it at once, nor one right after the other.

    Args:
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        run_id: ID of the pipeline run, which gets the claim. In a pipeline: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        retraining_state: Where it is recorded which run retrains which model: `s3://BUCKET/PREFIX`, or a folder where
            all runs are on one machine.
        cool_down: Shortest time between the beginnings of two retrainings of a model, such as `1d` or `12h`.
        max_retrainings_per_week: Number of retrainings of a model within seven days.
        retraining_timeout: Longest time that a run may take, such as `24h`. If a run has not ended then, another one
            may begin.

    Returns:
        verdict: `granted` or `refused`.
        reason: Why, in one sentence.
    """
    from kfp_edge.runtime.stage import stage

    with stage("claim_retraining") as warnings:
        from kfp_edge.components.claim_retraining.claim_retraining import claim_retraining

        result = claim_retraining(
            model_name, run_id, retraining_state, cool_down, max_retrainings_per_week, retraining_timeout
        )
        warnings.extend(result.warnings)
        return (result.verdict, result.reason)
