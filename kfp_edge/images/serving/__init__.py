"""Builds the image of the server, on which models are put."""

from kfp_edge.images.serving.builder import TAG, build_serving_image, layout_digest
from kfp_edge.images.serving.image_cache import ensure_serving_image, input_key

__all__ = ["TAG", "build_serving_image", "ensure_serving_image", "input_key", "layout_digest"]
