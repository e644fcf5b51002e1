"""[pure] The tables of `sessions.db`, version 1 (CONTRACT §4).

Times are `YYYY-MM-DD HH:MM:SS.ffffff` UTC with a space, so that they compare rightly with SQLite's own
`datetime('now', …)`. Token counts follow the inclusive rule; NULL = nobody said, 0 = zero.
"""

from __future__ import annotations

from typing import Final

from lunaroute.sinks.tables.columns import COST_COLUMNS, TOKEN_COLUMNS

SCHEMA_VERSION: Final = 1

_TOKENS_DDL = ", ".join(f"{name} INTEGER" for name in TOKEN_COLUMNS)
_COSTS_DDL = ", ".join(f"{name} REAL" for name in COST_COLUMNS)

_SESSIONS = f"""
CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL,
  source TEXT NOT NULL,
  conversation_id TEXT,
  continues TEXT,
  started_at TEXT NOT NULL,
  last_active_at TEXT NOT NULL,
  completed_at TEXT,
  completion_reason TEXT,
  provider TEXT,
  listener TEXT,
  dialect TEXT,
  model_requested TEXT,
  model_used TEXT,
  success INTEGER,
  error_message TEXT,
  finish_reason TEXT,
  is_streaming INTEGER,
  request_count INTEGER NOT NULL,
  error_count INTEGER NOT NULL,
  tool_call_count INTEGER NOT NULL,
  tool_error_count INTEGER NOT NULL,
  total_duration_ms REAL,
  provider_latency_ms REAL NOT NULL,
  proxy_overhead_ms REAL NOT NULL,
  max_latency_ms REAL,
  max_ttft_ms REAL,
  {_TOKENS_DDL},
  thinking_is_estimated INTEGER NOT NULL,
  {_COSTS_DDL},
  price_version TEXT,
  unpriced_requests INTEGER NOT NULL,
  first_text TEXT,
  last_text TEXT,
  client_name TEXT,
  client_version TEXT,
  client_ip TEXT,
  user_agent TEXT,
  api_version TEXT,
  credential TEXT,
  tags TEXT NOT NULL,
  identity_rule TEXT,
  identity_evidence TEXT,
  forked_from TEXT,
  thread_count INTEGER NOT NULL,
  agent TEXT,
  project TEXT,
  tenant TEXT,
  node TEXT,
  new_bytes INTEGER NOT NULL,
  resent_bytes INTEGER NOT NULL,
  cache_miss_count INTEGER NOT NULL,
  cache_missed_tokens INTEGER NOT NULL,
  cache_miss_cost_usd REAL,
  bodies_deleted INTEGER NOT NULL,
  last_seq INTEGER NOT NULL
)"""

_SESSION_STATS = f"""
CREATE TABLE session_stats (
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL UNIQUE,
  started_at TEXT NOT NULL,
  completed_at TEXT,
  provider TEXT,
  listener TEXT,
  dialect TEXT,
  method TEXT,
  target TEXT,
  model_name TEXT,
  model_requested TEXT,
  model_used TEXT,
  is_streaming INTEGER,
  status_code INTEGER,
  outcome TEXT,
  success INTEGER,
  finish_reason TEXT,
  error_type TEXT,
  error_message TEXT,
  provider_request_id TEXT,
  response_id TEXT,
  provider_latency_ms REAL,
  time_to_first_byte_ms REAL,
  time_to_first_token_ms REAL,
  pre_processing_ms REAL,
  post_processing_ms REAL,
  total_proxy_overhead_ms REAL,
  total_duration_ms REAL,
  {_TOKENS_DDL},
  thinking_percentage REAL,
  tokens_per_second REAL,
  thinking_is_estimated INTEGER,
  request_size_bytes INTEGER,
  response_size_bytes INTEGER,
  message_count INTEGER,
  has_system_prompt INTEGER,
  has_tools INTEGER,
  tool_count INTEGER,
  estimated_tokens INTEGER,
  tool_call_count INTEGER,
  server_tool_call_count INTEGER,
  content_block_count INTEGER,
  has_refusal INTEGER,
  chunk_count INTEGER,
  streaming_duration_ms REAL,
  chunk_gap_avg_ms REAL,
  chunk_gap_p50_ms REAL,
  chunk_gap_p95_ms REAL,
  chunk_gap_p99_ms REAL,
  chunk_gap_max_ms REAL,
  chunk_gap_min_ms REAL,
  {_COSTS_DDL},
  cost_per_1k_tokens REAL,
  price_version TEXT,
  unpriced_requests INTEGER,
  request_body_sha256 TEXT,
  is_request_complete INTEGER,
  is_prewarm INTEGER,
  connection_id TEXT,
  response_body_sha256 TEXT,
  thread_id TEXT,
  parent_thread_id TEXT,
  thread_kind TEXT,
  retry_of TEXT,
  identity_rule TEXT,
  identity_evidence TEXT,
  client_name TEXT,
  client_version TEXT,
  agent TEXT,
  project TEXT,
  tenant TEXT,
  new_bytes INTEGER,
  resent_bytes INTEGER,
  new_message_count INTEGER,
  new_input_tokens INTEGER,
  resent_input_tokens INTEGER,
  cache_read_share REAL,
  cache_missed_tokens INTEGER,
  cache_miss_reason TEXT,
  cache_miss_message_index INTEGER,
  cache_miss_block_kind TEXT,
  cache_miss_excerpt TEXT,
  cache_miss_idle_s REAL,
  cache_miss_cost_usd REAL,
  stream_milestones TEXT
)"""

_TOOL_CALLS = """
CREATE TABLE tool_calls (
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  model_name TEXT,
  tool_name TEXT NOT NULL,
  call_count INTEGER NOT NULL,
  total_execution_time_ms REAL,
  avg_execution_time_ms REAL,
  error_count INTEGER NOT NULL,
  PRIMARY KEY (request_id, tool_name)
) WITHOUT ROWID"""

_TOOL_CALL_EXECUTIONS = """
CREATE TABLE tool_call_executions (
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  result_request_id TEXT,
  model_name TEXT,
  tool_name TEXT NOT NULL,
  tool_call_id TEXT,
  call_number INTEGER,
  arguments TEXT NOT NULL,
  called_at TEXT,
  returned_at TEXT,
  execution_time_ms REAL,
  is_shared_bound INTEGER,
  input_size_bytes INTEGER NOT NULL,
  output_size_bytes INTEGER,
  success INTEGER,
  error TEXT,
  exit_code INTEGER,
  success_evidence TEXT,
  success_confidence TEXT,
  parallel_count INTEGER,
  UNIQUE (request_id, tool_call_id)
)"""

_STREAM_EVENTS = """
CREATE VIEW stream_events AS SELECT
  s.session_id,
  s.request_id,
  s.model_name,
  CAST(json_extract(m.value, '$[0]') AS TEXT) AS event_type,
  CAST(json_extract(m.value, '$[1]') AS INTEGER) AS event_index,
  CAST(json_extract(m.value, '$[2]') AS REAL) AS offset_ms,
  CAST(json_extract(m.value, '$[3]') AS TEXT) AS content
FROM session_stats s, json_each(s.stream_milestones) m"""
"""Rows of their own, with the ids in each, would take seven times the space: an exchange has six or so."""

_SUMS_DDL = f"""
  requests INTEGER NOT NULL,
  successes INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  {_TOKENS_DDL},
  total_cost_usd REAL,
  unpriced_requests INTEGER NOT NULL,
  tool_call_count INTEGER NOT NULL,
  provider_latency_ms REAL NOT NULL,
  proxy_overhead_ms REAL NOT NULL,
  total_duration_ms REAL NOT NULL"""

_DAILY_STATS = f"""
CREATE TABLE daily_stats (
  day TEXT NOT NULL,
  provider TEXT NOT NULL,
  model_name TEXT NOT NULL,{_SUMS_DDL},
  PRIMARY KEY (day, provider, model_name)
) WITHOUT ROWID"""

_HOURLY_STATS = f"""
CREATE TABLE hourly_stats (
  hour TEXT NOT NULL,
  provider TEXT NOT NULL,
  model_name TEXT NOT NULL,
  client_name TEXT NOT NULL,{_SUMS_DDL},
  PRIMARY KEY (hour, provider, model_name, client_name)
) WITHOUT ROWID"""

_HISTOGRAMS_DDL = """
  provider TEXT NOT NULL,
  model_name TEXT NOT NULL,
  client_name TEXT NOT NULL,
  latency_histogram BLOB,
  ttft_histogram BLOB,"""

_HOURLY_LATENCIES = f"""
CREATE TABLE hourly_latencies (
  hour TEXT NOT NULL,{_HISTOGRAMS_DDL}
  PRIMARY KEY (hour, provider, model_name, client_name)
)"""
"""A table of its own, so that sums are read without the histograms, which are ten times as large."""

_DAILY_LATENCIES = f"""
CREATE TABLE daily_latencies (
  day TEXT NOT NULL,{_HISTOGRAMS_DDL}
  PRIMARY KEY (day, provider, model_name, client_name)
)"""
"""For long spans: histograms are dear to add up."""

_DAILY_TOOL_STATS = """
CREATE TABLE daily_tool_stats (
  day TEXT NOT NULL,
  model_name TEXT NOT NULL,
  client_name TEXT NOT NULL,
  tool_name TEXT NOT NULL,
  call_count INTEGER NOT NULL,
  result_count INTEGER NOT NULL,
  error_count INTEGER NOT NULL,
  total_execution_time_ms REAL NOT NULL,
  execution_histogram BLOB,
  PRIMARY KEY (day, model_name, client_name, tool_name)
)"""

_SESSION_FACETS = """
CREATE TABLE session_facets (
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  session_id TEXT NOT NULL,
  PRIMARY KEY (kind, value, session_id)
) WITHOUT ROWID"""
"""What a session is found by; `kind` is `provider`, `model`, `client`, `tool`, `outcome`, `status`, `tag`, `tenant`,
`node` or `source`. Sessions of one value stand together, by their ids and so by time."""

_TEXTS = """
CREATE TABLE texts (
  text_id INTEGER PRIMARY KEY,
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  content TEXT NOT NULL
)"""
"""What is new in each exchange; `kind` is `user`, `assistant`, `tool_arguments` or `tool_result`. A long one is a BLOB
(`long_texts`)."""

_TEXT_SEARCH = """
CREATE VIRTUAL TABLE text_search USING fts5(
  content, content='texts', content_rowid='text_id', tokenize='unicode61', columnsize=0
)"""
"""Indexes `texts` without a second copy of it; `text_search.rowid` is `texts.text_id`. How many words each text has,
which only a ranking asks for, is counted when it is asked."""

INDEXES: Final = (
    "CREATE INDEX sessions_by_start ON sessions (started_at, session_id)",
    # What lists filter by, so that they go through this and not through the rows, which are ten times as large.
    "CREATE INDEX sessions_to_filter ON sessions (session_id, started_at, last_active_at, completed_at, success,"
    " request_count, error_count, tool_call_count, total_duration_ms, max_latency_ms, max_ttft_ms, total_tokens,"
    " total_cost_usd)",
    # For those who come after the recorder: what is over since they last looked, or for so long.
    "CREATE INDEX sessions_by_completion ON sessions (completed_at) WHERE completed_at IS NOT NULL",
    # For those who may see one tenant's only.
    "CREATE INDEX sessions_by_tenant ON sessions (tenant, session_id) WHERE tenant IS NOT NULL",
    "CREATE INDEX sessions_by_conversation ON sessions (conversation_id)",
    "CREATE INDEX session_stats_by_session ON session_stats (session_id)",
    # Led by time and holding the rest, and no index led by the model: asked for the last day by model, the
    # planner would take that one and walk through all of history.
    "CREATE INDEX session_stats_by_time ON session_stats"
    " (started_at, model_name, provider, total_cost_usd, provider_latency_ms)",
    # Small, and the way to what went wrong; whoever asks must name its condition.
    "CREATE INDEX session_stats_failed ON session_stats (started_at) WHERE success = 0",
    "CREATE INDEX tool_calls_by_tool ON tool_calls (tool_name, call_count)",
    "CREATE INDEX tool_calls_by_session ON tool_calls (session_id)",
    "CREATE INDEX tool_call_executions_by_session ON tool_call_executions (session_id)",
    "CREATE INDEX tool_call_executions_by_call ON tool_call_executions (called_at)",
    "CREATE INDEX tool_call_executions_failed ON tool_call_executions (returned_at) WHERE success = 0",
    "CREATE INDEX tool_call_executions_by_result ON tool_call_executions (returned_at)",
    "CREATE INDEX texts_by_session ON texts (session_id)",
)
"""Ways for questions to take; writing needs none of them."""

TABLES: Final = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})",
    _SESSIONS,
    _SESSION_STATS,
    _TOOL_CALLS,
    _TOOL_CALL_EXECUTIONS,
    _STREAM_EVENTS,
    _DAILY_STATS,
    _HOURLY_STATS,
    _HOURLY_LATENCIES,
    _DAILY_LATENCIES,
    _DAILY_TOOL_STATS,
    _SESSION_FACETS,
    _TEXTS,
    _TEXT_SEARCH,
)

DDL: Final = (*TABLES, *INDEXES)
"""Everything of an empty index, in order."""
