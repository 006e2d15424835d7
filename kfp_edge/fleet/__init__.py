"""A fleet: its rings and sites, as the files of its GitOps repository describe them.

- `fleet.yaml` has the rings in their order, and what a release has to show in each before the next one may have it.
- `sites/SITE/site.yaml` says what one site is; the kustomization beside it is what the site runs.

`check_repository` finds what is wrong in these files, before a merge brings it to the sites.
"""
