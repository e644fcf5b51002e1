"""The pages: what is asked for each, and which template shows it. One module per group."""

from .call import PageCall
from .compare import compare_page
from .overview import overview_page, running_part
from .raw import diff_part, raw_part
from .search import search_page
from .session import calls_part, requests_part, session_page, turns_part
from .sessions import sessions_page
from .sums import latency_page, models_page, tools_page
from .system import first_part, health_page, setup_page, sql_page

PAGE_ROUTES = (
    ("/", overview_page, "7d"),
    ("/parts/running", running_part, "24h"),
    ("/sessions", sessions_page, "all"),
    ("/sessions/{session_id}", session_page, "all"),
    ("/sessions/{session_id}/turns", turns_part, "all"),
    ("/sessions/{session_id}/requests", requests_part, "all"),
    ("/sessions/{session_id}/calls", calls_part, "all"),
    ("/sessions/{session_id}/raw", raw_part, "all"),
    ("/sessions/{session_id}/diff", diff_part, "all"),
    ("/search", search_page, "all"),
    ("/models", models_page, "30d"),
    ("/tools", tools_page, "30d"),
    ("/latency", latency_page, "7d"),
    ("/compare", compare_page, "all"),
    ("/sql", sql_page, "all"),
    ("/health", health_page, "24h"),
    ("/setup", setup_page, "all"),
    ("/parts/first", first_part, "all"),
)
"""Path, handler, and the span of time where the address names none."""

TENANT_PAGES = frozenset(
    {
        *(overview_page, running_part, sessions_page, session_page, turns_part, raw_part, diff_part, search_page),
        *(models_page, tools_page, latency_page, compare_page, requests_part, calls_part),
    }
)
"""What a token of one tenant may open: pages that read nothing but the index and the files that it leads to."""

__all__ = ["PAGE_ROUTES", "TENANT_PAGES", "PageCall"]
