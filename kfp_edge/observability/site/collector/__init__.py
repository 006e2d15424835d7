"""The check of a collector's configuration: what does not start, what loses data, what is not protected."""
