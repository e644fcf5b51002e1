"""How many files and sockets the server's processes may have open.

An exchange takes two sockets in a relay. Shells and service managers give 1,024 unless told otherwise, for the sake of
old programs that cannot count further; what the hard limit allows beyond that is there to be taken.
"""

from __future__ import annotations

import resource
from contextlib import suppress

MOST_FILES = 65_536


def allow_many_files() -> None:
    """Raise this process's own limit, which its children inherit. Where the system refuses, it stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
