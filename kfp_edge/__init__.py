"""Carry a model from a notebook to an inference container at the edge, with Kubeflow Pipelines."""

__version__ = "0.1.0"
