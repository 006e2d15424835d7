"""HTTP/1.1 and the REST API."""
