"""What the sites of a fleet report, compared with what the repository wants them to run.

The sites' own metrics count, not the health that Argo CD shows: that is Healthy where a kustomization is broken or a
sync window closed, though nothing of the release runs.
"""
