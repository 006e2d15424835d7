"""One package per stage: `component.py` is its KFP component definition, the module next to it does the work.

Importing this package imports no stage: `from kfp_edge.components.ingest.component import ingest` imports one.
"""

__all__ = [
    "claim_retraining",
    "clean_up",
    "compare_models",
    "containerize",
    "drift",
    "export",
    "fetch_champion",
    "fetch_model",
    "fleet_summary",
    "gitops_commit",
    "ingest",
    "preflight",
    "promote",
    "release",
    "rollback",
    "staging_test",
    "train",
    "verify",
]
