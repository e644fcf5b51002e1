"""Settings: who wins, and what a mistake looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lunaroute.config import DEFAULT_UPSTREAMS, AlertConfig, Config, SinkConfig, TenantLimits, seconds_of
from lunaroute.config_file import load_config
from lunaroute.errors import ConfigError


def _load(tmp_path: Path, text: str | None = None, flags: dict[str, Any] | None = None, **environ: str) -> Config:
    home = tmp_path / ".lunaroute"
    if text is not None:
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(text)
    return load_config(flags or {}, {"HOME": str(tmp_path), "PATH": "/bin"} | environ)


def _mistake(tmp_path: Path, *given: Any, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, *given, **environ)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(f"{tmp_path}/.lunaroute/", "")


def test_nothing_given_means_defaults(tmp_path: Path) -> None:
    assert _load(tmp_path) == Config(home=tmp_path / ".lunaroute")


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path) -> None:
    text = "[server]\nport = 1\nui_port = 2\nworkers = 3\n"
    server = _load(tmp_path, text, {"port": 31, "host": None}, LUNAROUTE_PORT="21", LUNAROUTE_UI_PORT="22").server
    assert (server.port, server.ui_port, server.workers, server.host) == (31, 22, 3, "127.0.0.1")


def test_every_key_of_every_section_can_be_set_in_the_file_and_by_variable(tmp_path: Path) -> None:
    values: dict[str, dict[str, Any]] = {
        "server": {
            **{"host": "::1", "port": 1, "ui_port": 2, "workers": 4},
            **{"max_head_bytes": 9999, "shutdown_grace_s": 1.5, "add_headers": True},
            **{"role": "relay", "node": "n1"},
        },
        "timeouts": {"connect_s": 1.0, "first_byte_s": 2.0, "idle_s": 3.0, "keep_alive_s": 4.0, "pool_idle_s": 5.0},
        "recording": {"fsync_ms": 0.0, "on_failure": "block", "segment_bytes": 8388608, "spool_max_bytes": 10**12},
        "sessions": {
            **{"idle_timeout_s": 60.5, "snapshot_every_exchanges": 7, "snapshot_every_s": 8.0},
            **{"tag_headers": ("x-run", "x-tag")},
        },
        "dashboard": {"enabled": False, "host": "::1"},
        "storage": {
            **{"compress_after": "36h", "delete_bodies_after": "30d", "delete_sessions_after": "1y"},
            **{"delete_sums_after": "never", "max_bytes": 10**12, "hold_tags": ("legal", "golden")},
        },
        "archive": {"url": "s3://bucket/lunaroute", "push_after": "0s"},
    }
    # Sections with tables in them have tests of their own.
    defaults = Config(home=tmp_path)
    lines: list[str] = []
    environ: dict[str, str] = {}
    for section, keys in values.items():
        assert set(keys) == set(type(getattr(defaults, section)).__struct_fields__), section
        lines.append(f"[{section}]")
        for key, value in keys.items():
            is_list = isinstance(value, tuple)
            written = list(value) if is_list else value
            lines.append(f"{key} = {json.dumps(written)}")
            environ[f"LUNAROUTE_{section}_{key}".upper()] = ", ".join(value) if is_list else str(value)
    for config in (_load(tmp_path / "environ", **environ), _load(tmp_path, "\n".join(lines))):
        for section, keys in values.items():
            loaded = getattr(config, section)
            assert {key: getattr(loaded, key) for key in keys} == keys


def test_redaction_can_be_set_in_the_file_and_by_variable(tmp_path: Path) -> None:
    text = "[redaction]\nmode = 'partial'\nrules = ['secrets', 'email']\n[redaction.patterns]\nbadge = 'EMP-[0-9]+'\n"
    variables = {"MODE": "partial", "RULES": "secrets, email", "PATTERNS": "{badge = 'EMP-[0-9]+'}"}
    environ = {f"LUNAROUTE_REDACTION_{name}": value for name, value in variables.items()}
    for config in (_load(tmp_path, text), _load(tmp_path / "environ", **environ)):
        redaction = config.redaction
        assert (redaction.mode, redaction.rules) == ("partial", ("secrets", "email"))
        assert redaction.patterns == {"badge": "EMP-[0-9]+"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"MODE": "hide"}, "mask"),
        ({"MODE": "mask", "RULES": "emial"}, "emial"),
        ({"MODE": "mask", "PATTERNS": "{x = '('}"}, "'x'"),
        ({"MODE": "mask", "PATTERNS": "x=("}, "table"),
        ({"MODE": "mask", "PATTERNS": "{x = 1}"}, "str"),
    ],
)
def test_redaction_that_cannot_be_followed_is_named(tmp_path: Path, environ: dict[str, str], named: str) -> None:
    line = _mistake(tmp_path, **{f"LUNAROUTE_REDACTION_{name}": value for name, value in environ.items()})
    assert named in line


def test_upstreams_are_added_to_the_known_ones_or_move_them(tmp_path: Path) -> None:
    text = '[upstreams]\nmine = "http://10.0.0.1:8000/base/"\nopenai = "https://eu.api.openai.com"\n'
    flags = {"upstream": ("groq=http://127.0.0.1:9",)}
    upstreams = _load(tmp_path, text, flags, LUNAROUTE_UPSTREAMS_OPENAI="https://us.api.openai.com").upstreams
    changed = {"mine": "http://10.0.0.1:8000/base", "openai": "https://us.api.openai.com", "groq": "http://127.0.0.1:9"}
    assert upstreams == DEFAULT_UPSTREAMS | changed


def test_home_moves_with_its_config_file_and_tilde_is_expanded(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.toml").write_text("[server]\nport = 5\n")
    by_variable = _load(tmp_path, LUNAROUTE_HOME="~/there")
    by_flag = _load(tmp_path, None, {"home": "~/there"}, LUNAROUTE_HOME="/nowhere")
    assert by_variable == by_flag
    assert (by_flag.home, by_flag.server.port) == (tmp_path / "there", 5)


def test_config_file_can_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[server]\nport = 1\n")
    (tmp_path / "two.toml").write_text("[server]\nport = 2\n")
    assert _load(tmp_path, "[server]\nport = 9\n", LUNAROUTE_CONFIG="~/one.toml").server.port == 1
    assert _load(tmp_path, None, {"config": "~/two.toml"}, LUNAROUTE_CONFIG="~/one.toml").server.port == 2


def test_config_file_that_was_named_must_exist(tmp_path: Path) -> None:
    assert _mistake(tmp_path, None, {"config": "/no/such.toml"}) == "--config: there is no file /no/such.toml"
    assert _mistake(tmp_path, LUNAROUTE_CONFIG="/no.toml") == "LUNAROUTE_CONFIG: there is no file /no.toml"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nprot = 1", "config.toml: unknown key 'prot' in [server]; did you mean 'port'?"),
        ("[servers]\nport = 1", "config.toml: unknown section [servers]; did you mean [server]?"),
        ("port = 1", "config.toml: 'port' is outside of a section; it belongs in [server]"),
        ("[server]\nidle_s = 1", "config.toml: unknown key 'idle_s' in [server]; it belongs in [timeouts]"),
        ("[server]\nport = '1'", "config.toml: 'port' in [server]: '1' does not fit: Expected `int`, got `str`"),
        ("[server]\nport = true", "config.toml: 'port' in [server]: True does not fit: Expected `int`, got `bool`"),
        ("[server]\nport = 70000", "config.toml: 'port' in [server]: 70000 is out of range; it must be 0 to 65535"),
        (
            "[timeouts]\nidle_s = 0",
            "config.toml: 'idle_s' in [timeouts]: 0 is out of range; it must be at least 0.001",
        ),
        (
            "[timeouts]\nidle_s = nan",
            "config.toml: 'idle_s' in [timeouts]: nan is out of range; it must be at least 0.001",
        ),
        ("[server]\nhost = ''", "config.toml: 'host' in [server]: must not be empty"),
        (
            "[upstreams]\nx = 'ftp://h'",
            "config.toml: 'x' in [upstreams]: 'ftp://h' must start with http:// or https://",
        ),
        ("[upstreams]\nx = 'https:///p'", "config.toml: 'x' in [upstreams]: 'https:///p' names no host"),
        ("[upstreams]\nx = 'http://h:x'", "config.toml: 'x' in [upstreams]: 'http://h:x' is not a URL:…"),
        ("[upstreams]\nx = 5", "config.toml: 'x' in [upstreams]: 5 is not a URL in quotes"),
        ("[upstreams]\nv1 = 'http://h'", "config.toml: 'v1' in [upstreams]: 'v1' is a path of the relay's own;…"),
        ("[upstreams]\n'A b' = 'http://h'", "config.toml: 'A b' in [upstreams]: 'A b' is not a name;…"),
        ("[server\n", "config.toml: not valid TOML:…"),
    ],
)
def test_mistake_in_the_file_names_file_key_and_nearest_valid_one(tmp_path: Path, text: str, line: str) -> None:
    found = _mistake(tmp_path, text)
    assert found == line or (line.endswith("…") and found.startswith(line[:-1]))


def test_list_and_choice_are_checked(tmp_path: Path) -> None:
    line = _mistake(tmp_path, LUNAROUTE_RECORDING_ON_FAILURE="pas")
    assert line == "LUNAROUTE_RECORDING_ON_FAILURE: 'pas' is not valid; did you mean 'pass'?"
    line = _mistake(tmp_path, "[recording]\non_failure = 1")
    assert line == "config.toml: 'on_failure' in [recording]: 1 is not valid; valid: 'block', 'pass'"
    assert "does not fit" in _mistake(tmp_path, "[sessions]\ntag_headers = [1]")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("LUNAROUTE_PROT", "1", "LUNAROUTE_PROT: no such setting; did you mean LUNAROUTE_PORT?"),
        ("LUNAROUTE_HOMES", "/", "LUNAROUTE_HOMES: no such setting; did you mean LUNAROUTE_HOME?"),
        ("LUNAROUTE_PORT", "many", "LUNAROUTE_PORT: 'many' does not fit: Expected `int`, got `str`"),
        ("LUNAROUTE_WORKERS", "0", "LUNAROUTE_WORKERS: '0' is out of range; it must be 1 to 256"),
        ("LUNAROUTE_UPSTREAMS_X", "h", "LUNAROUTE_UPSTREAMS_X: 'h' must start with http:// or https://"),
    ],
)
def test_mistake_in_a_variable_names_it_and_the_nearest_valid_one(
    tmp_path: Path, variable: str, value: str, line: str
) -> None:
    assert _mistake(tmp_path, **{variable: value}) == line


def test_two_variables_for_one_setting_are_a_mistake(tmp_path: Path) -> None:
    line = _mistake(tmp_path, LUNAROUTE_PORT="1", LUNAROUTE_SERVER_PORT="1")
    assert line == "LUNAROUTE_SERVER_PORT: LUNAROUTE_PORT sets the same; keep one of them"


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    assert _load(tmp_path, LUNAROUTE_WORKER="{}", LUNAROUTE_CORPUS="/c", lunaroute_port="x", LUNA="1")


def test_mistake_in_a_flag_names_it(tmp_path: Path) -> None:
    assert _mistake(tmp_path, None, {"ui_port": -1}).startswith("--ui-port: -1 is out of range")
    assert _mistake(tmp_path, None, {"upstream": ["x"]}).startswith("--upstream x: write NAME=URL")
    assert _mistake(tmp_path, None, {"upstream": ["x=y"]}).startswith("--upstream x: 'y' must start with")


def test_password_in_a_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    line = _mistake(tmp_path, None, {"upstream": ["x=http://me:secret@host"]})
    assert "credential" in line
    assert "secret" not in line


# ---- prices

PRICE = '[prices."anthropic/claude-x"]\n'


def test_prices_are_read_by_provider_and_model(tmp_path: Path) -> None:
    text = '[upstreams]\nmine = "http://localhost:1"\n[prices."mine/a/b*"]\ninput_mtok = 1\noutput_mtok = 2.5\n'
    config = _load(tmp_path, text)
    assert config.own_prices == {"mine/a/b*": {"input_mtok": 1.0, "output_mtok": 2.5}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PRICE + "input = 1", "unknown key 'input'; did you mean 'input_mtok'?"),
        (PRICE + "input_mtok = -1", "input_mtok = -1 is no amount of US dollars"),
        (PRICE + 'input_mtok = "1"', "input_mtok = '1' is no amount of US dollars"),
        (PRICE + "input_mtok = true", "input_mtok = True is no amount of US dollars"),
        (PRICE + "requests_kcount = 1", "say at least input_mtok or output_mtok, US dollars per million tokens"),
        ("[prices.anthropic]\ninput_mtok = 1", "'anthropic' names no model; write [prices.\"provider/model\"]"),
        ('[prices]\n"a/b" = 1', 'write [prices."provider/model"] and the prices below it'),
        ('[prices."antropic/x"]\ninput_mtok = 1', "there is no provider 'antropic'; did you mean 'anthropic'?"),
    ],
)
def test_a_mistake_in_a_price_is_named(tmp_path: Path, text: str, message: str) -> None:
    line = _mistake(tmp_path, text)
    assert line.startswith("config.toml: ")
    assert line.endswith(message)


@pytest.mark.parametrize("text", ["soon", "1", "-1s", "1.5h", "", "1 d", "٣d"])
def test_a_time_that_is_none_is_refused_with_the_forms_there_are(tmp_path: Path, text: str) -> None:
    line = _mistake(tmp_path, f'[storage]\ncompress_after = "{text}"\n')
    assert "compress_after" in line
    assert text == "" or "write 0s, 90m, 36h, 30d, 2w, 1y or never" in line


@pytest.mark.parametrize(
    ("span", "seconds"), [("0s", 0), ("90m", 5400), ("36h", 129_600), ("2w", 1_209_600), ("1y", 31_536_000)]
)
def test_times_are_seconds(span: str, seconds: int) -> None:
    assert seconds_of(span) == seconds
    assert seconds_of("never") is None


def test_what_is_deleted_last_cannot_be_gone_first(tmp_path: Path) -> None:
    line = _mistake(tmp_path, '[storage]\ndelete_bodies_after = "1y"\ndelete_sessions_after = "30d"\n')
    assert "delete_sessions_after must not be shorter than delete_bodies_after" in line


# ---- sinks


def test_a_sink_is_its_type_and_its_own_options(tmp_path: Path) -> None:
    text = '[sinks.mine]\ntype = "otlp"\nbackfill = true\nendpoint = "http://x"\n[sinks.other]\n'
    sinks = _load(tmp_path, text).sinks
    assert sinks == {
        "mine": SinkConfig(type="otlp", backfill=True, options={"endpoint": "http://x"}),
        "other": SinkConfig(type="other"),
    }


def test_a_variable_holds_a_whole_sink(tmp_path: Path) -> None:
    sinks = _load(tmp_path, "[sinks.mine]\n", LUNAROUTE_SINKS_MINE='{type = "otlp", endpoint = "http://x"}').sinks
    assert sinks == {"mine": SinkConfig(type="otlp", options={"endpoint": "http://x"})}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[sinks]\nmine = 1", "config.toml: 'mine' in [sinks]: write [sinks.mine] and its keys below it"),
        ("[sinks.mine]\ntype = 1", "config.toml: 'mine' in [sinks]: type = 1 is not the name of a sink in quotes"),
        ("[sinks.mine]\nbackfill = 1", "config.toml: 'mine' in [sinks]: backfill = 1 is neither true nor false"),
        ("[sinks.'a b']\n", "config.toml: 'a b' in [sinks]: 'a b' is not a name; use a-z, 0-9, '_' and '-'"),
    ],
)
def test_a_mistake_in_a_sink_is_named(tmp_path: Path, text: str, line: str) -> None:
    assert _mistake(tmp_path, text) == line


def test_a_spool_without_room_for_all_workers_is_refused(tmp_path: Path) -> None:
    line = _mistake(tmp_path, "[server]\nworkers = 3\n[recording]\nspool_max_bytes = 1000000\n")
    assert "spool_max_bytes must be at least 134217728" in line


def test_tenants_can_be_set_in_the_file_and_by_variable(tmp_path: Path) -> None:
    text = (
        "[tenants]\nrules = ['credential', 'header:X-Team', 'tag:team-']\n[tenants.credentials]\nfp_1 = 'lab'\n"
        "[tenants.limits.'*']\nrequests_per_minute = 60\n[tenants.limits.lab]\nmax_request_bytes = 9\n"
    )
    variables = {
        "RULES": "credential, header:X-Team, tag:team-",
        "CREDENTIALS": "{fp_1 = 'lab'}",
        "LIMITS": "{'*' = {requests_per_minute = 60}, lab = {max_request_bytes = 9}}",
    }
    environ = {f"LUNAROUTE_TENANTS_{name}": value for name, value in variables.items()}
    for config in (_load(tmp_path, text), _load(tmp_path / "environ", **environ)):
        tenants = config.tenants
        assert tenants.rules == ("credential", "header:X-Team", "tag:team-")
        assert tenants.credentials == {"fp_1": "lab"}
        assert tenants.limits == {"*": TenantLimits(requests_per_minute=60), "lab": TenantLimits(max_request_bytes=9)}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rules = ['headers:x']", "headers:x"),
        ("rules = ['tag:']", "tag:"),
        ("rules = ['credential:fp']", "credential:fp"),
        ("[tenants.credentials]\nfp_1 = 'two words'", "two words"),
        ("[tenants.limits.lab]\nrequests = 1", "requests"),
        ("[tenants.limits.lab]\nrequests_per_minute = -1", "requests_per_minute"),
    ],
)
def test_tenants_that_cannot_be_told_are_named(tmp_path: Path, text: str, named: str) -> None:
    assert named in _mistake(tmp_path, f"[tenants]\n{text}\n")


# ---- alerts


def test_a_rule_has_a_name_and_a_sentence(tmp_path: Path) -> None:
    text = '[alerts.daily]\nwhen = "spend per day > 20"\nblock = true\n'
    variable = '{when = "stall > 60s", desktop = true}'
    assert _load(tmp_path, text, LUNAROUTE_ALERTS_STILL=variable).alerts == {
        "daily": AlertConfig(when="spend per day > 20", block=True),
        "still": AlertConfig(when="stall > 60s", desktop=True),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[alerts.a]\n", "config.toml: 'a' in [alerts]: say when, such as when = 'spend per day > 20'"),
        ("[alerts.a]\nwhen = 1", "config.toml: 'a' in [alerts]: Expected `str`, got `int` - at `$.when`"),
        ("[alerts.a]\nwen = 'x'", "config.toml: 'a' in [alerts]: unknown key 'wen'; did you mean 'when'?"),
        (
            "[alerts.a]\nwhen = 'stall > 9s'\nblock = true",
            "[alerts.a]: a stall cannot block: what stands still has passed already",
        ),
    ],
)
def test_a_mistake_in_a_rule_is_named(tmp_path: Path, text: str, line: str) -> None:
    assert _mistake(tmp_path, text) == line
