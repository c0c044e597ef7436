"""Tests of `deploy/`: the local run with real processes, and what images and manifests show without a cluster."""
