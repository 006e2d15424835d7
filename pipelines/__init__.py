"""One module a pipeline; each reads like the line it draws."""
