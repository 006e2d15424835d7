"""The formats of the OCI Image Specification: references, manifests, layouts and layers."""
