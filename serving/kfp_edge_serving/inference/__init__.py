"""What REST and gRPC share of an inference."""
