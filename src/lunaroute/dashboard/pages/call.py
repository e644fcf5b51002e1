"""What a page's handler is given."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from lunaroute.access.guard import TENANT
from lunaroute.dashboard.asked import Asked
from lunaroute.dashboard.marks import Marks
from lunaroute.dashboard.site import Site
from lunaroute.errors import LunarouteError
from lunaroute.query.stores.base import Index


class PageCall(msgspec.Struct, frozen=True, kw_only=True):
    site: Site
    request: Request
    asked: Asked
    index: Index | None
    """None = nothing was recorded yet."""
    problem: LunarouteError | None
    """What is wrong with the filter."""

    @property
    def marks(self) -> Marks:
        """The user's; who may see one tenant's only has none."""
        return self.site.marks.read() if self.request.scope.get(TENANT) is None else Marks()

    def show(self, template: str, *, page: str, title: str, **values: Any) -> Response:
        """The page; 400 where the filter is wrong."""
        problem = values.pop("problem", None) or self.problem
        typed = self.request.query_params.get("q", "") if problem else self.asked.text
        return self.site.page(
            template,
            200 if problem is None else 400,
            page=page,
            title=title,
            asked=self.asked,
            typed=typed,
            problem=None if problem is None else str(problem),
            path=self.request.url.path,
            is_part="hx-request" in self.request.headers,
            **values,
        )
