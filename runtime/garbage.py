"""How often Python looks for garbage that refers to itself. Called once by each service's `__main__`, before it serves.

Records come and go by the hundred thousand each second and refer to nothing that refers to them: reference counting
frees them. With Python's own thresholds the collector would run every few hundred records all the same, a tenth of the
filter service's time, and go through every open connection again and again.
"""

import gc

_YOUNG = 50_000
"""New containers, less those that are gone, before the young ones are looked through."""
_MIDDLE, _OLD = 20, 50
"""Rounds before the next older generation is looked through as well."""


def collect_less() -> None:
    """Leaves out what exists already (modules, classes), and looks at the rest more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
