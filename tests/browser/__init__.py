"""A real Chromium for tests, and the web server in front of the edge that its pages come from."""
