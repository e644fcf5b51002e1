"""The one place that knows where Python's zstd is."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WINDOW_LOG_MAX = 31
"""Accept every window a compressor may have chosen: whole sessions are packed with long ones, by others too."""

DAMAGE = (EOFError, zstd.ZstdError)
"""What reading raises where compressed data is cut or damaged."""


def decompressor() -> zstd.ZstdDecompressor:
    """Of one frame."""
    return zstd.ZstdDecompressor(options=READ_OPTIONS)


READ_OPTIONS = {int(zstd.DecompressionParameter.window_log_max): WINDOW_LOG_MAX}

__all__ = ["DAMAGE", "READ_OPTIONS", "decompressor", "zstd"]
