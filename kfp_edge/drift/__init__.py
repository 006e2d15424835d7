"""Drift of a model's inputs and outputs at the edge, from the counts that its servers publish (docs/drift.md).

`result` has the contract: the decision with its reasons, and the JSON that the component `drift` writes.
"""
