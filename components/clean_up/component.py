"""The KFP component definition of `clean_up`."""

from kfp_edge.runtime.component import component


@component
def clean_up(run_id: str, staging_options: dict = {}, retraining_state: str = "", model_name: str = ""):
    """Delete what the run, and expired earlier runs, left in the cluster; use it as the task of an `ExitHandler`.

    Only `namespace` of `staging_options` is read. Outside a pod there are no objects to delete.

    Args:
        run_id: ID of the pipeline run, for the labels of the objects that the run creates in the cluster. In a
            pipeline: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        staging_options: Options of the test in a cluster, such as `{"namespace": "edge-staging", "pull_secret":
            "quay-pull"}`; the README of staging_test lists them.
        retraining_state: Where it is recorded which run retrains which model: `s3://BUCKET/PREFIX`, or a folder where
            all runs are on one machine.
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
    """
    from kfp_edge.runtime.stage import stage

    with stage("clean_up"):
        from kfp_edge.components.clean_up.clean_up import clean_up

        clean_up(run_id, staging_options, retraining_state, model_name)
