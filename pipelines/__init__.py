"""One module per pipeline; each reads like the diagram in its docstring.

Importing this package imports no pipeline: `from kfp_edge.pipelines.training import training` imports one.
"""

__all__ = ["delivery", "drift", "edge_mlops", "fleet_training", "promote", "retraining", "rollback", "training"]
