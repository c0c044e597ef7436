"""What every service does around its work: settings base, logs, metrics, TLS, the gRPC server."""
