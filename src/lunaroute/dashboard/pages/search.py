"""Full-text search, with the words around what was found."""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from starlette.responses import Response

from lunaroute.errors import FilterError
from lunaroute.query.filter import Words
from lunaroute.query.pages import Page
from lunaroute.query.search import MARK_BEGIN, MARK_END, Hit, search

from .call import PageCall

KINDS = {
    "user": "User",
    "assistant": "Assistant",
    "tool_arguments": "Tool call",
    "tool_result": "Tool result",
}
_PAGE = 30
_MARKED = re.compile(f"{MARK_BEGIN}([^{MARK_END}]*){MARK_END}")


def search_page(call: PageCall) -> Response:
    found, problem = Page[Hit](items=[], next=None), None
    has_words = any(isinstance(one, Words) and not one.is_negated for one in call.asked.wanted.conditions)
    if call.index is not None and has_words:
        try:
            after = call.request.query_params.get("after") or None
            found = search(call.index, call.asked.wanted, limit=_PAGE, after=after)
        except FilterError as error:
            problem = error
    elif call.asked.text and not has_words:
        problem = FilterError("say which words to look for; a filter alone finds sessions, not texts")
    return call.show(
        "parts/hits.html" if "after" in call.request.query_params else "search.html",
        page="search",
        title="Search",
        hits=[(hit, _marked(hit.snippet)) for hit in found.items],
        kinds=KINDS,
        next=found.next,
        has_words=has_words,
        problem=problem,
    )


def _marked(snippet: str) -> Markup:
    """What was found in <mark>; all of it is text."""
    return Markup(_MARKED.sub(r"<mark>\1</mark>", str(escape(snippet))))
