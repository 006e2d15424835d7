"""Metrics: what each means, their intervals, events, and the gates that limit them."""
