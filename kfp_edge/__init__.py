"""Carry a model from a notebook to an inference container at the edge, with Kubeflow Pipelines.

The packages in `__all__` are the public Python API (docs/python-api.md); each is loaded when it is first used.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["__version__", "client", "components", "errors", "local", "pipelines", "rules", "spec"]


if not TYPE_CHECKING:  # or a type checker would accept every name

    def __getattr__(name: str) -> ModuleType:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")
