"""A page of a session's transcript: the turns of some of its requests, with their texts.

In: the session's file and the ids of requests. Out: `Turn` values in the order of the file, and the pictures of each
(`query.lines` says at what price).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lunaroute.errors import NoSuchSession
from lunaroute.events.types import RequestRecorded
from lunaroute.sinks.layout import existing_file

from .images import new_images
from .lines import events_of
from .transcript import Transcript, Turn, tell


def read_turns(
    sessions_dir: Path, session_id: str, request_ids: Collection[str], result_request_ids: Collection[str] = ()
) -> list[Turn]:
    """Without the pictures; see `read_turns_and_images`."""
    return read_turns_and_images(sessions_dir, session_id, request_ids, result_request_ids)[0]


def read_turns_and_images(
    sessions_dir: Path, session_id: str, request_ids: Collection[str], result_request_ids: Collection[str] = ()
) -> tuple[list[Turn], dict[str, list[str]]]:
    """The turns of these requests, and the new pictures of each by its id; results of their tool calls come with the
    requests of `result_request_ids`. Raises NoSuchSession when the session's file is not there, OSError."""
    path = existing_file(sessions_dir, session_id)
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {sessions_dir}")
    transcript = Transcript(path=path)
    events = list(events_of(path, request_ids, result_request_ids))
    tell(transcript, events)
    images = {one.request_id: new_images(one) for one in events if isinstance(one, RequestRecorded)}
    return transcript.turns, images
