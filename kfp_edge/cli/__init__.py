"""The `kfp-edge` command."""
