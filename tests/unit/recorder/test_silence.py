"""What stands still is named, the longest first."""

from __future__ import annotations

from lunaroute.recorder.silence import silent_exchanges
from tests.exchanges import ExchangeScript


def test_silence_is_since_the_last_byte_of_either_side() -> None:
    waiting, streaming, talking = (ExchangeScript(number, provider=f"p{number}", opened_ms=0) for number in (1, 2, 3))
    for script in (streaming, talking):
        script.answer(200, at_ms=1000)
        script.chunk(b"x", at_ms=2000)
    talking.chunk(b"y", at_ms=9000)
    opened = [one.exchange for one in (talking, streaming, waiting)]
    found = silent_exchanges(opened, waiting.t_ns(12_000))
    assert [(one.provider, round(one.silence_s)) for one in found] == [("p1", 12), ("p2", 10)]
