"""Files: written atomically, fetched from a folder, S3 or a web server."""
