"""The template of a collector; setuptools maps this folder to `kfp_edge.observability.site.template`, as data."""
