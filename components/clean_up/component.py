"""The KFP face of `clean_up`."""

from kfp_edge.runtime.component import component


@component
def clean_up(run_id: str, staging_options: dict = {}):
    """Delete what a run left in the cluster, and what dead runs left there; meant as the task of an ExitHandler.

    Args:
        run_id: The run, as it was given to the stages that build and test in the cluster.
        staging_options: As given to `staging_test`; only its `namespace` is read.
    """
    from kfp_edge.runtime.stage import stage

    with stage("clean_up"):
        from kfp_edge.components.clean_up.clean_up import clean_up

        clean_up(run_id, staging_options)
