"""Seeing the edge: the collector at a site, the hub, dashboards and alerts."""
