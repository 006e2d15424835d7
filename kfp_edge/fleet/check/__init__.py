"""The check of a fleet's repository: what would stop Argo CD, or have no effect in silence."""
