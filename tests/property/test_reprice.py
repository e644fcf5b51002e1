"""Whatever was recorded, and at whatever prices: repricing gives what recording at the new prices would have given."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.events import decode_event
from lunaroute.pricing import Pricer
from lunaroute.sinks.reprice import reprice
from tests.property.test_totals import check_session, traffic, turns
from tests.repriced import contents, record

dollars = st.integers(0, 10_000).map(lambda cents: cents / 100)
prices = st.dictionaries(
    st.sampled_from(["anthropic/*", "anthropic/claude-haiku-4-5", "my-gateway/*"]),
    st.fixed_dictionaries({"input_mtok": dollars, "output_mtok": dollars}, optional={"cache_read_mtok": dollars}),
    max_size=3,
)


@settings(max_examples=15, deadline=None)
@given(story=turns(), old=prices, new=prices)
def test_repricing_is_recording_at_other_prices(
    story: list[dict[str, Any]], old: dict[str, dict[str, float]], new: dict[str, dict[str, float]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repriced, wanted = Path(folder, "repriced"), Path(folder, "wanted")
        record(repriced, traffic(story), old)
        record(wanted, traffic(story), new)

        reprice(repriced, repriced / "sessions.db", Pricer(new))

        assert contents(repriced) == contents(wanted)
        for data in contents(repriced).values():
            check_session([decode_event(line) for line in data.splitlines()])
