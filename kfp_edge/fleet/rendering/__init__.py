"""What sites get, rendered by kustomize, and what a change does to it."""
