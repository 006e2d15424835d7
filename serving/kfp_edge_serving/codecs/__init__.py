"""Requests and responses as JSON, protobuf and binary tensors."""
