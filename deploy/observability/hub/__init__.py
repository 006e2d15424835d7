"""What the hub runs; setuptools maps this folder to `kfp_edge.observability.hub.template`, as data."""
