"""What takes long, or needs more servers than one, is left out without TEST_FLEET_LONG."""

from __future__ import annotations

import os

import pytest

IS_LONG = bool(os.environ.get("TEST_FLEET_LONG"))
only_long = pytest.mark.skipif(not IS_LONG, reason="takes long: make test-fleet LONG=1")
