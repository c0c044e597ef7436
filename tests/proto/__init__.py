"""Guards of the contracts in `proto/`: nothing breaks, everything is explained, the stubs are fresh."""
