"""Settings that are right one by one and may still be wrong together, or mean something only to the stage they are for.

Each check raises ConfigError with the section it is about; the stages are imported only where there is something to ask
them."""

from __future__ import annotations

from itertools import pairwise

from lunaroute.config import AlertConfig, RecordingConfig, RedactionConfig, StorageConfig, TenantsConfig, seconds_of
from lunaroute.errors import ConfigError


def check_quota(recording: RecordingConfig, workers: int) -> None:
    least = recording.least_spool_bytes(workers)
    if 0 < recording.spool_max_bytes < least:
        raise ConfigError(
            f"[recording]: spool_max_bytes must be at least {least}: a segment per worker and one more; 0 = no limit"
        )


def check_clocks(storage: StorageConfig) -> None:
    """What is deleted last cannot be gone first."""
    names = ("delete_bodies_after", "delete_sessions_after", "delete_sums_after")
    waits = [(name, seconds_of(getattr(storage, name))) for name in names]
    for (earlier, first_s), (later, then_s) in pairwise(waits):
        if then_s is not None and first_s is not None and then_s < first_s:
            raise ConfigError(f"[storage]: {later} must not be shorter than {earlier}")


def checked_redaction(config: RedactionConfig) -> RedactionConfig:
    """A rule or a pattern that nobody understands must not be found out only when there is something to redact."""
    if config.mode != "off":
        from lunaroute.redact.finder import Finder
        from lunaroute.redact.settings import RedactionSettings

        try:
            Finder(RedactionSettings(rules=config.rules, patterns=config.patterns))
        except ConfigError as error:
            raise ConfigError(f"[redaction]: {error}") from None
    return config


def checked_tenants(config: TenantsConfig) -> TenantsConfig:
    from lunaroute.relay.tenants import TenantRules

    try:
        TenantRules(config)
    except ConfigError as error:
        raise ConfigError(f"[tenants]: {error}") from None
    return config


def checked_rules(alerts: dict[str, AlertConfig]) -> dict[str, AlertConfig]:
    """As for redaction: a rule that nobody understands is found out at once."""
    if alerts:
        from lunaroute.alerts.rule import read_rules

        read_rules(alerts)
    return alerts
