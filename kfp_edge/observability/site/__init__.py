"""The OpenTelemetry Collector at a site: its configuration, its queue, and the check of both."""
