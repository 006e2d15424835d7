"""The template of a site's collector; setuptools maps this folder to `kfp_edge.observability.site.template`, as data."""
