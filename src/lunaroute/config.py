"""Settings: one frozen value, made of flags > environment > config.toml > defaults (see `config_file`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

NEVER = "never"
Span = Annotated[str, msgspec.Meta(pattern=f"^(?:{NEVER}|[0-9]+[smhdwy])$")]
"""A time as people write it: `0s`, `90m`, `36h`, `30d`, `2w`, `1y`, or `never`."""

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def seconds_of(span: str) -> int | None:
    """None = never."""
    return None if span == NEVER else int(span[:-1]) * _UNIT_S[span[-1]]


DEFAULT_UPSTREAMS = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "google": "https://generativelanguage.googleapis.com",
    "openrouter": "https://openrouter.ai/api",
    "groq": "https://api.groq.com/openai",
    "mistral": "https://api.mistral.ai",
    "xai": "https://api.x.ai",
    "deepseek": "https://api.deepseek.com",
    "together": "https://api.together.xyz",
    "chatgpt": "https://chatgpt.com/backend-api/codex",
    "ollama": "http://127.0.0.1:11434",
    "vllm": "http://127.0.0.1:8000",
}


Role = Literal["all", "relay", "recorder", "web"]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8081
    ui_port: int = 8082
    workers: int = 1
    role: Role = "all"
    """Which of the processes this server is."""
    node: str | None = None
    """The name of this machine or pod in recordings; none is made up."""
    max_head_bytes: int = 65536
    """A request or response head larger than this is refused (431 / 502)."""
    add_headers: bool = False
    """Give each response `x-lunaroute-request-id` and `x-lunaroute-overhead-ms`; otherwise it stays as it came."""
    shutdown_grace_s: float = 10.0
    """How long an orderly stop waits for open exchanges before it cuts them."""


class TimeoutConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds. Generous: providers think for minutes before the first byte and between bytes (WIRE A3)."""

    connect_s: float = 30.0
    first_byte_s: float = 1200.0
    idle_s: float = 1200.0
    """Between two bytes of a response."""
    keep_alive_s: float = 300.0
    """How long an idle client connection is kept."""
    pool_idle_s: float = 30.0
    """How long an idle provider connection is kept for re-use."""


class RecordingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fsync_ms: float = 200.0
    """Power-loss window of the spool; 0 = fsync each frame."""
    on_failure: Literal["pass", "block"] = "pass"
    segment_bytes: int = 32 * 1024 * 1024
    spool_max_bytes: int = 0
    """Of what waits in the spool; at its end `on_failure` decides. 0 = no limit but the disk's."""

    def least_spool_bytes(self, workers: int) -> int:
        """The smallest `spool_max_bytes` with which each relay worker has a segment and another can be begun."""
        return (workers + 1) * max(self.segment_bytes, 4 * 1024 * 1024)


class SessionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    idle_timeout_s: float = 1800.0
    snapshot_every_exchanges: int = 50
    snapshot_every_s: float = 300.0
    tag_headers: tuple[str, ...] = ("x-session-tag",)
    """Request headers whose value is a user-given session tag."""


class DashboardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its port is `server.ui_port`."""

    enabled: bool = True
    host: str = "127.0.0.1"
    """Beyond loopback, every request needs the token that the server prints."""


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of sessions that are over."""

    compress_after: Span = "0s"
    delete_bodies_after: Span = NEVER
    """What was said is taken out of a session's file and of the index; who, when, how much and at what cost stay."""
    delete_sessions_after: Span = NEVER
    """Its file and rows go; its part of the sums of hours and days stays."""
    delete_sums_after: Span = NEVER
    max_bytes: int = 0
    """Of all session files: above it, bodies go, the session first that ended first; 0 = no limit."""
    hold_tags: tuple[str, ...] = ()
    """Sessions with such a tag are kept whole, like pinned ones."""


class QueryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    store: str | None = None
    """What commands and dashboard ask, where that is not the home's index: `postgresql://…`, `sqlite:PATH`."""


class ArchiveConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str | None = None
    """A directory, or s3://bucket/prefix, gs://…, az://…: where sessions are pushed to. Where it is set, nothing is
    deleted here that was not first read back from there."""
    push_after: Span = NEVER
    """When a session that is over is pushed there by itself: `0s` = as soon as it can be."""


class EncryptionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Encryption at rest is on where there is a key: this, or LUNAROUTE_ENCRYPTION_KEY."""

    key_file: str | None = None
    """A file with a key of 32 bytes in base64 or hexadecimal digits; of several, a line each, the first encrypts."""


class PriceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model's price of the user's own, in US dollars, in the units of the price table: `_mtok` per million tokens,
    `_kcount` per thousand pieces, `_hours` per hour. What is not given costs what it is part of, or nothing."""

    input_mtok: float | None = None
    output_mtok: float | None = None
    output_reasoning_mtok: float | None = None
    cache_read_mtok: float | None = None
    cache_write_mtok: float | None = None
    cache_write_5m_mtok: float | None = None
    cache_write_1h_mtok: float | None = None
    input_audio_mtok: float | None = None
    output_audio_mtok: float | None = None
    input_image_mtok: float | None = None
    output_image_mtok: float | None = None
    audio_hours: float | None = None
    requests_kcount: float | None = None
    web_searches_kcount: float | None = None
    storage_searches_kcount: float | None = None


class RedactionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: Literal["off", "mask", "remove", "tokenize", "partial"] = "off"
    rules: tuple[str, ...] = ("secrets", "personal")
    """What is redacted: groups, or single rules by their names (docs/redaction.md)."""
    patterns: dict[str, str] = {}
    """The user's own: name → pattern (RE2)."""


class SinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sink that an installed package offers (docs/sinks.md)."""

    type: str
    """The name it is offered under; where it is not said, that of the section."""
    backfill: bool = False
    """Whether it gets what was recorded before it was configured."""
    options: dict[str, Any] = {}
    """The other keys of the section; the sink says which there are."""


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one tenant may send through this server; 0 = no limit."""

    requests_per_minute: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_request_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of a request's body."""


class TenantsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose traffic is whose, where several share a server."""

    rules: tuple[str, ...] = ()
    """`credential`, `header:NAME`, `tag:PREFIX`: the first that knows the tenant counts."""
    credentials: dict[str, str] = {}
    """Fingerprint of a credential, as recordings have it → tenant."""
    limits: dict[str, TenantLimits] = {}
    """Tenant, or `*` for all others → limits."""


class AlertConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that is watched (docs/alerts.md)."""

    when: str
    """Such as `spend per day > 20`."""
    filter: str = ""
    """What it is limited to, in the language of filters."""
    desktop: bool = False
    """A notification of the desktop."""
    webhook: str | None = None
    """A URL that gets what happened as JSON."""
    command: str | None = None
    """A program that gets the same on its standard input."""
    block: bool = False
    """Whether requests are refused (429) while the rule is exceeded."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    home: Path
    server: ServerConfig = ServerConfig()
    timeouts: TimeoutConfig = TimeoutConfig()
    recording: RecordingConfig = RecordingConfig()
    sessions: SessionsConfig = SessionsConfig()
    redaction: RedactionConfig = RedactionConfig()
    dashboard: DashboardConfig = DashboardConfig()
    storage: StorageConfig = StorageConfig()
    archive: ArchiveConfig = ArchiveConfig()
    tenants: TenantsConfig = TenantsConfig()
    encryption: EncryptionConfig = EncryptionConfig()
    query: QueryConfig = QueryConfig()
    upstreams: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEFAULT_UPSTREAMS))
    """Provider name → base URL."""
    prices: dict[str, PriceConfig] = {}
    """`provider/model` (or a pattern with `*`) → prices that go before the table's."""
    sinks: dict[str, SinkConfig] = {}
    """Name → a sink beside session files and index."""
    alerts: dict[str, AlertConfig] = {}
    """Name → a rule that is watched."""

    @property
    def own_prices(self) -> dict[str, dict[str, float]]:
        """The same as plain numbers: {"provider/model": {unit: US dollars}}."""
        return {
            model: {unit: dollars for unit, dollars in msgspec.structs.asdict(price).items() if dollars is not None}
            for model, price in self.prices.items()
        }

    @property
    def sessions_dir(self) -> Path:
        return self.home / "sessions"

    @property
    def database(self) -> Path:
        return self.sessions_dir / "sessions.db"

    @property
    def spool_dir(self) -> Path:
        return self.home / "spool"

    @property
    def recorder_dir(self) -> Path:
        """The recorder's own state: journal, dead letters."""
        return self.home / "recorder"

    @property
    def shipping_dir(self) -> Path:
        """How far each configured sink has got, and what it keeps itself."""
        return self.home / "shipping"

    @property
    def alerts_dir(self) -> Path:
        """What rules found."""
        return self.home / "alerts"

    @property
    def feed_dir(self) -> Path:
        """In which order events were recorded."""
        return self.home / "feed"

    @property
    def live_socket(self) -> Path:
        """Where the recorder tells watchers what is happening."""
        return self.run_dir / "live.sock"

    @property
    def run_dir(self) -> Path:
        """Pid file, server.json, logs."""
        return self.home / "run"
