"""The way from a request at a site to an alert at the hub, on one machine."""
