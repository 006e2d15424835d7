"""A rehearsal of a rollout on one machine: real commits, decisions and containers, simulated time and distance.

No replacement for Argo CD, and no test of it: the sites are those of the Podman variant of the template.
"""
