"""Recorded text → HTML that cannot do anything: Markdown without HTML, images or schemes other than http(s) and mailto.

What looks like an image is a link to it: a page of this dashboard asks nobody else for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

LONGEST_CHARS = 40_000
"""Beyond that text is shown as it is: marking it up would keep the reader waiting."""


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        return f'<a href="{escape(token.attrGet("src") or "")}" rel="noopener noreferrer">{escape(token.content)}</a>'

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        tokens[index].attrSet("rel", "noopener noreferrer")
        tokens[index].attrSet("target", "_blank")
        return self.renderToken(tokens, index, options, env)


def _is_harmless(url: str) -> bool:
    return url.lower().startswith(("http://", "https://", "mailto:", "#"))


_MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable(["table", "strikethrough"])
_MARKDOWN.validateLink = _is_harmless  # type: ignore[method-assign]


def render_code(text: str) -> Markup:
    """A sentence of ours; what stands between backticks is code."""
    parts = text.split("`")
    return Markup().join(Markup("<code>{}</code>").format(one) if n % 2 else escape(one) for n, one in enumerate(parts))


def render_markdown(text: str) -> Markup:
    if len(text) > LONGEST_CHARS:
        return Markup('<pre class="plain">{}</pre>').format(text)
    return Markup(_MARKDOWN.render(text))
