"""Labels that are made: from failure windows, from a failure log, or from runs that end with their failure."""
