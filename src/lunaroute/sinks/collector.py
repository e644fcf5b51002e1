"""Work on batches of events without Python's collector of cycles.

Events are trees of values: there are no cycles to look for among the many thousands of a batch, and looking costs a
twelfth of the time. What does make cycles, an exception with its frames for one, is found when the batch is gone.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Nothing is looked for inside; afterwards as before."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
