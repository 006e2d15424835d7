"""Builds the image by which OpenShift AI brings pipelines into the dashboard of every project ("managed pipelines")."""

from kfp_edge.images.managed_pipelines.builder import TAG, build_managed_pipelines_image
from kfp_edge.images.managed_pipelines.pipelines import ManagedPipeline, load_pipelines

__all__ = ["TAG", "ManagedPipeline", "build_managed_pipelines_image", "load_pipelines"]
