"""The template of a fleet's GitOps repository, as data; `kfp_edge.gitops.template_files` reads it."""
