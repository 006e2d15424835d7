"""Archives that carry a release to a site without a network: images, commits, checksums and a signature in one file."""
