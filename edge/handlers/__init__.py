"""What the edge answers to HTTP requests: one module per endpoint, what they share in `base`."""
