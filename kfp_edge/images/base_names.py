"""Names of the bases that the project makes itself; any other base is an image."""

#: Red Hat's Universal Base Image 9, of which a Containerfile of ours takes what is needed.
UBI9 = "ubi9"
#: This machine's own distribution packages, for machines that reach no image registry.
PACKAGES = "packages"
