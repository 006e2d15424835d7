"""The recording and alert rules of the hub, from which the rule files are written."""
