"""Used shares of limits, in the forms that providers write them in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.events.rate_limits import Window, windows

SEEN = 1_800_000_000.0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "2000000",
                "anthropic-ratelimit-input-tokens-remaining": "500000",
                "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:00:30Z",
                "retry-after": "3",
            },
            {"input-tokens": Window(0.75, SEEN + 30)},
        ),
        (
            {
                "anthropic-ratelimit-unified-5h-utilization": "0.93",
                "anthropic-ratelimit-unified-5h-reset": "1800003600",
                "anthropic-ratelimit-unified-5h-status": "allowed_warning",
                "anthropic-ratelimit-unified-status": "allowed",
            },
            {"unified-5h": Window(0.93, SEEN + 3600)},
        ),
        (
            {"anthropic-priority-output-tokens-limit": "10", "anthropic-priority-output-tokens-remaining": "10"},
            {"priority-output-tokens": Window(0.0, None)},
        ),
        (
            {
                "x-ratelimit-limit-requests": "10000",
                "x-ratelimit-remaining-requests": "9000",
                "x-ratelimit-reset-requests": "6m0.5s",
                "x-ratelimit-limit-tokens": "200",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "12ms",
            },
            {"requests": Window(pytest.approx(0.1), SEEN + 360.5), "tokens": Window(1.0, SEEN + 0.012)},
        ),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "1800000060000"},
            {"all": Window(0.75, SEEN + 60)},
        ),
        (
            {"x-codex-primary-used-percent": "41.5", "x-codex-primary-reset-after-seconds": "100"},
            {"primary": Window(0.415, SEEN + 100)},
        ),
        ({"x-ratelimit-limit-requests": "XXX", "x-ratelimit-remaining-requests": "9"}, {}),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, {}),
        ({"x-ratelimit-limit-requests": "10"}, {}),
        ({"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "20"}, {"tokens": Window(0.0, None)}),
        ({"x-codex-turn-state": "1", "content-type": "text/plain"}, {}),
    ],
)
def test_forms_of_providers(fields: dict[str, str], expected: dict[str, Window]) -> None:
    assert windows(fields.items(), SEEN) == expected


_NAMES = ("anthropic-ratelimit-requests-", "x-ratelimit-", "x-codex-primary-")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(_NAMES), st.sampled_from(["limit", "remaining", "reset"]), st.text(max_size=12)),
        max_size=6,
    )
)
def test_whatever_is_said_is_a_share_or_nothing(said: list[tuple[str, str, str]]) -> None:
    for window in windows([(name + part, value) for name, part, value in said], SEEN).values():
        assert 0 <= window.used_share <= 1
