"""Strategies for records, in the range the relay produces."""

from __future__ import annotations

from hypothesis import strategies as st

from lunaroute.capture.ids import uuid7
from lunaroute.capture.records import (
    ExchangeClosed,
    Record,
    RecordsLost,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
    UpgradeChunk,
)
from lunaroute.spool.frame import OUTCOMES

_U32 = st.integers(0, 2**32 - 1)
_NS = st.integers(0, 2**63 - 1)
_LATER_NS = st.integers(1, 2**63 - 1)
_TEXT = st.text(max_size=20)
_LINES = st.lists(
    st.sampled_from([b"A: b", b"c:\xff", b"X-Long: " + b"x" * 300, b"Content-Length: 5"]), max_size=4
).map(b"\r\n".join)
_REASON = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=10)
_UUID = st.builds(uuid7, st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))

RECORDS: dict[str, st.SearchStrategy[Record]] = {
    "RelayStarted": st.builds(RelayStarted, _NS, _NS, _TEXT, _U32, _TEXT),
    "RelayStopped": st.builds(RelayStopped, _NS, _NS),
    "RecordsLost": st.builds(RecordsLost, _NS, _NS, _NS, _U32, _TEXT),
    "RequestOpened": st.builds(
        RequestOpened,
        exchange=_U32,
        t_ns=_NS,
        wall_ns=_NS,
        request_id=_UUID,
        listener=_TEXT,
        provider=_TEXT,
        method=_TEXT,
        target=_TEXT,
        path=_TEXT,
        http_version=st.sampled_from(["1.0", "1.1"]),
        header_lines=_LINES,
        client_ip=st.sampled_from(["", "127.0.0.1", "2001:db8::1"]),
        session_tags=st.lists(_TEXT, max_size=2),
        credential=st.none() | _TEXT,
    ),
    "RequestChunk": st.builds(RequestChunk, _U32, _NS, st.binary(max_size=300), st.none() | _NS),
    "ResponseOpened": st.builds(ResponseOpened, _U32, _NS, st.integers(100, 999), _REASON, _LINES),
    "ResponseChunk": st.builds(ResponseChunk, _U32, _NS, st.binary(max_size=300)),
    "ExchangeClosed": st.builds(
        ExchangeClosed,
        _U32,
        _NS,
        st.sampled_from(OUTCOMES),
        st.none() | st.text(min_size=1, max_size=20),
        st.none() | _LATER_NS,
        _NS,
        _NS,
    ),
    "UpgradeChunk": st.builds(UpgradeChunk, _U32, _NS, st.binary(max_size=300), st.booleans(), _NS, _NS),
}
ANY_RECORD = st.one_of(*RECORDS.values())
