"""The dashboards of the hub: what their panels ask Prometheus for, and the files for Grafana made of that."""
