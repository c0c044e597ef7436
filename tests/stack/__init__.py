"""The whole system as real processes, and a client of it, for end-to-end tests, benchmarks and chaos runs."""
