"""[pure] The redaction stage in its place: between assembly and everything that reads, remembers or writes.

Off, it hands exchanges on as they are and nothing of it is loaded. A failure of it must not let anything through, so
what it could not look at is withheld.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lunaroute.assemble.exchange import Exchange
from lunaroute.redact.report import Redaction
from lunaroute.redact.settings import RedactionSettings

if TYPE_CHECKING:
    from lunaroute.redact.exchange import ExchangeRedactor


class Cleaning:
    """One per pipeline. Raises ConfigError for settings that cannot be followed."""

    def __init__(self, settings: RedactionSettings | None) -> None:
        self._redactor: ExchangeRedactor | None = None
        self._failed: list[tuple[Exchange, str]] = []
        if settings is not None:
            from lunaroute.redact.exchange import ExchangeRedactor

            self._redactor = ExchangeRedactor(settings)

    def request(self, exchange: Exchange) -> tuple[Exchange, Redaction | None]:
        """The exchange as far as its request goes."""
        if self._redactor is None:
            return exchange, None
        try:
            return self._redactor.request(exchange)
        except Exception as error:
            return self._withheld(self._redactor, exchange, error)

    def response(self, exchange: Exchange) -> tuple[Exchange, Redaction | None]:
        """The exchange as far as its response goes."""
        if self._redactor is None:
            return exchange, None
        try:
            return self._redactor.response(exchange)
        except Exception as error:
            return self._withheld(self._redactor, exchange, error)

    def take_failed(self) -> list[tuple[Exchange, str]]:
        """What had to be withheld since the last call, and why."""
        failed, self._failed = self._failed, []
        return failed

    def _withheld(
        self, redactor: ExchangeRedactor, exchange: Exchange, error: Exception
    ) -> tuple[Exchange, Redaction | None]:
        # Not the error's text: it may quote what it stumbled over.
        exchange, redaction = redactor.unseen(exchange, f"redaction failed: {type(error).__name__}")
        self._failed.append((exchange, redaction.withheld or ""))
        return exchange, redaction
