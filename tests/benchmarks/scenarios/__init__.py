"""One module for each kind of scenario; `tests.benchmarks.__main__` lists them."""
