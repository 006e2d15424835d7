"""What REST and gRPC share: the handling of one inference, and load shedding."""
