"""Whether the next ring may have what a ring runs, and the pull requests that bring it there, or back.

A decision is made from what the sites of the ring before report (`evidence`), by the policies of `fleet.yaml`
(`judgement`). Sites are offline, so that nothing is ever driven by an API: a decision is a commit on a review branch,
with its numbers in the pull request and in a file of the repository (`audit`).
"""
