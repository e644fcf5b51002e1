"""A session's sums → `stats_snapshot` and `completed`."""

from __future__ import annotations

from lunaroute.pricing.cost import CostSums
from lunaroute.sessions import Ending, Session
from lunaroute.stats.session_sums import SessionSums

from .numbers import final_stats, snapshot_stats
from .timestamps import timestamp
from .types import Completed, StatsSnapshot


def snapshot_event(session: Session, sums: SessionSums, wall_ns: int, seq: int) -> StatsSnapshot:
    """The session so far, at this moment."""
    return StatsSnapshot(
        session_id=session.session_id,
        request_id=session.latest_request_id,
        timestamp=timestamp(wall_ns),
        seq=seq,
        stats=snapshot_stats(sums),
    )


def completed_event(ending: Ending, sums: SessionSums, cost: CostSums) -> Completed:
    """The session's last line."""
    session = ending.session
    return Completed(
        session_id=session.session_id,
        request_id=session.latest_request_id,
        timestamp=timestamp(ending.wall_ns),
        seq=session.seq,
        success=session.success,
        error=session.error,
        finish_reason=session.finish_reason,
        reason=ending.reason,
        final_stats=final_stats(sums, cost),
    )
