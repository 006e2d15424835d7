"""The GitOps repository of a fleet: its layout, its template, edits of YAML files, and changes as commits.

Edits keep every byte that they do not mean to change: comments, quotes and line ends of people stay. A change is a
commit on a branch, which is computed again when somebody else pushed first.
"""
