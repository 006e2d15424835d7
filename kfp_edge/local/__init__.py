"""Running a compiled pipeline on this machine, with `kfp.local`, as a user wants to see it."""
