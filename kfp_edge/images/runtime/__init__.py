"""Builds the image in which every stage runs, from a checkout of this repository."""

from kfp_edge.images.runtime.builder import DEFAULT_NAME, build_runtime_image, save_runtime_image

__all__ = ["DEFAULT_NAME", "build_runtime_image", "save_runtime_image"]
