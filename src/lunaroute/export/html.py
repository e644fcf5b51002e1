"""[pure] Sessions as one page of HTML that needs nothing else: no script, no request to anywhere, light and dark.

In: sessions and their transcripts. Out: a page. All recorded text is escaped, and a policy in the page forbids scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from lunaroute.query.render import milliseconds, short_count, usd
from lunaroute.query.sessions import SessionSummary
from lunaroute.query.transcript import ToolUseView, Transcript, Turn

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: .9rem; font-weight: 600; margin: 2rem 0 .5rem; opacity: .7; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; font: 13px/1.45 ui-monospace, monospace; }
.said { border-left: 3px solid var(--line); padding: .1rem .8rem; margin: .5rem 0; }
.user { border-color: #2a7de1; } .model { border-color: #2e9e5b; } .error { border-color: #d33; }
details { background: var(--soft); border-radius: 6px; padding: .3rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; } dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html_page(sessions: Sequence[tuple[SessionSummary, Transcript]]) -> str:
    title = "Session" if len(sessions) == 1 else f"{len(sessions)} sessions"
    body = "".join(part for summary, transcript in sessions for part in _session(summary, transcript))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · LunaRoute</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _session(summary: SessionSummary, transcript: Transcript) -> Iterator[str]:
    first = " ".join((summary.first_text or "").split())[:120]
    yield f"<h1>{escape(first or summary.session_id)}</h1><dl>"
    tokens = f"{short_count(summary.input_tokens)} in, {short_count(summary.output_tokens)} out"
    facts = {
        "session": summary.session_id,
        "started": f"{summary.started_at} UTC",
        "client": " ".join(filter(None, (summary.client_name, summary.client_version))) or "–",
        "model": summary.model_used or summary.model_requested or "–",
        "exchanges": f"{summary.request_count}, {summary.error_count} failed",
        "tokens": tokens,
        "cost": usd(summary.total_cost_usd),
    }
    yield "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    yield "</dl>"
    for number, turn in enumerate(transcript.turns, start=1):
        yield from _turn(number, turn)


def _turn(number: int, turn: Turn) -> Iterator[str]:
    facts = [
        f"#{number}",
        turn.timestamp[11:19],
        turn.model or "–",
        f"{short_count(turn.tokens.input_tokens)} in, {short_count(turn.tokens.output_tokens)} out",
        usd(turn.total_cost_usd),
        milliseconds(turn.provider_latency_ms),
    ]
    yield f'<h2 id="{escape(turn.request_id)}">{escape(" · ".join(facts))}</h2>'
    yield _said("user", turn.request_text)
    if turn.thinking_text.strip():
        yield f"<details><summary>thought</summary><pre>{escape(turn.thinking_text)}</pre></details>"
    yield _said("model", turn.response_text)
    for call in turn.tool_calls:
        yield _tool(call)
    if turn.error or turn.outcome not in {"completed", None}:
        yield _said("error", f"{turn.outcome}: {turn.error or ''}")


def _said(who: str, text: str) -> str:
    return f'<div class="said {who}"><pre>{escape(text)}</pre></div>' if text.strip() else ""


def _tool(call: ToolUseView) -> str:
    mark = {True: "ok", False: "failed", None: "returned"}[call.success]
    state = "no result" if call.output_text is None else mark
    head = escape(f"{call.tool_name} · {state} · {milliseconds(call.execution_time_ms)}")
    result = f"<pre>{escape(call.output_text)}</pre>" if call.output_text else ""
    return f"<details><summary>{head}</summary><pre>{escape(call.arguments)}</pre>{result}</details>"
