"""OCI images: references, layouts, layers, registries, and the tools that build and run them."""
