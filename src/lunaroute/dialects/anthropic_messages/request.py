"""Anthropic request bodies → RequestFacts.

In: the decoded body. Out: facts. Bodies grow to hundreds of kilobytes because agents resend their history, so only
the outline is decoded here; each message is read on its own (`message`), and what is new is told from their end.
"""

from __future__ import annotations

import re

import msgspec

from lunaroute.dialects.anthropic_messages.fields import SentBody
from lunaroute.dialects.anthropic_messages.message import read_message, system_blocks
from lunaroute.dialects.facts import IdentityHints, RequestFacts
from lunaroute.dialects.loose import as_dict, as_list, as_text, read_any
from lunaroute.dialects.message_digest import settings_digest, tool_blocks
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_bodies = ResentReader(msgspec.json.Decoder(SentBody), "messages", read_message)
_EMPTY = (b"", b'""', b"[]", b"null")


_WORKING_DIRECTORY = re.compile(rb'<env>\\n *Working directory: ((?:[^"\\]|\\\\)+)\\n')
"""In the JSON of a system prompt, where a line end is `\\n`."""


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    tools, system = tool_blocks(found.tools), system_blocks(found.system)
    has_system_prompt = bytes(found.system) not in _EMPTY or any(m.role == "system" for m in messages)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=has_system_prompt,
        has_tools=bool(tools),
        tool_count=len(tools),
        # `output_format` is the older name.
        has_output_schema=bool(as_dict(found.output_config).get("format") or found.output_format),
        tool_blocks=tools,
        system_blocks=system,
        cache_settings=settings_digest(found.tool_choice, found.thinking),
        project=_project(found),
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
        hints=_hints(found),
    )


def _hints(body: SentBody) -> IdentityHints:
    return IdentityHints(
        metadata_user_id=as_text(as_dict(body.metadata).get("user_id")),
        previous_response_id=as_text(as_dict(body.thread).get("previous_message_id")),
        diagnostic_message_id=as_text(as_dict(body.diagnostics).get("previous_message_id")),
    )


def _project(body: SentBody) -> str | None:
    """The folder that the agent works in: Claude Code says it to the safety classifier, older versions and opencode in
    the block about the environment in their system prompt."""
    for safeguard in as_list(read_any(body.safeguards)) if bytes(body.safeguards) else []:
        folder = as_text(as_dict(as_dict(safeguard).get("classifier_context")).get("live_cwd"))
        if folder:
            return folder
    match = _WORKING_DIRECTORY.search(bytes(body.system))
    return None if match is None else match[1].replace(b"\\\\", b"\\").decode("utf-8", "replace")
