"""Git repositories, without a work tree."""
