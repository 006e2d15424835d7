"""The metrics of a simulated fleet: stored in memory, and queried as Prometheus is, over HTTP.

Only the part of PromQL is here that `kfp_edge.fleet` queries with; any other query is refused.
"""
