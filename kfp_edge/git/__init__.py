"""Git repositories: read and commit without a work tree.

The real `git` does the work in a temporary bare clone. Of the user's own git configuration only the author's name has
an effect (no hooks, signing, aliases or ignore files). For an `https://` repository, these environment variables apply:

- `KFP_EDGE_GIT_TOKEN`, or `KFP_EDGE_GIT_TOKEN_FILE` with the name of a file that contains it: the access token.
- `KFP_EDGE_GIT_USERNAME`: the user name that goes with the token, `oauth2` by default.
- `KFP_EDGE_GIT_CA_FILE`: the CA certificate (PEM) of the server.

The token reaches git through a credential helper for the repository's own host only: it is never part of an argument, a
URL, a log or an error, and never follows a redirect to another host.
"""
