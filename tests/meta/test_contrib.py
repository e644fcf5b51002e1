"""What `contrib/` starts can be started: commands, settings and variables are those of this program."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lunaroute.cli.control import status_command
from lunaroute.cli.serve import serve_command
from lunaroute.config import StorageConfig
from lunaroute.config_file import INTERNAL_VARIABLES, load_config

from .source import REPOSITORY

CONTRIB = REPOSITORY / "contrib"
UNITS = sorted((CONTRIB / "systemd").glob("*.service"))
CHART = CONTRIB / "helm" / "lunaroute"
FILES = [path for path in sorted(CONTRIB.rglob("*")) if path.is_file()]
SETTINGS = {"LUNAROUTE_NODE": "n", "LUNAROUTE_ARCHIVE_PUSH_AFTER": "0s", "LUNAROUTE_RECORDING_ON_FAILURE": "pass"}
USUAL = {"HOME": "/nowhere"}


def _parses(words: list[str]) -> bool:
    command = {"serve": serve_command, "status": status_command}[words[0]]
    command.make_context(words[0], words[1:])
    return True


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_start_what_can_be_started(unit: Path) -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    program, *words = shlex.split(start)
    assert program.endswith("/lunaroute")
    assert _parses(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_has_nothing_to_say_against_the_units(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/lunaroute/bin/lunaroute", "/bin/true"))
    found = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, [line for line in found.stderr.splitlines() if unit.name in line]) == (0, [])


def test_containers_start_what_can_be_started() -> None:
    compose = (CONTRIB / "compose" / "compose.yaml").read_text()
    chart = (CHART / "templates" / "statefulset.yaml").read_text().replace("{{ .Values.relay.workers | quote }}", "2")
    found = re.findall(r"^ *command: \[(.*)\]$", compose, re.MULTILINE)
    found += re.findall(r"^ *args: \[(.*)\]$", chart, re.MULTILINE)
    found += [
        words.removeprefix("lunaroute, ") for words in re.findall(r"\[(?:CMD, )?(lunaroute, .*?)\]", compose + chart)
    ]
    assert len(found) == 8
    assert all(_parses(words.split(", ")) for words in found)
    roles = [words.split(", ")[-1] for words in found[:3]]
    assert roles == ["relay", "recorder", "web"]


def test_variables_are_settings() -> None:
    names = {name for path in FILES for name in re.findall(r"\bLUNAROUTE_[A-Z_]*[A-Z]\b", path.read_text())}
    values = dict.fromkeys(names - INTERNAL_VARIABLES, "1000000000") | {
        name: value for name, value in SETTINGS.items() if name in names
    }
    values.pop("LUNAROUTE_CONFIG", None)
    load_config({}, USUAL | values)  # refuses what is no setting


def test_the_charts_own_settings_can_be_loaded(tmp_path: Path) -> None:
    (block,) = re.findall(r"^config: \|\n((?:  .*\n|\n)+)", (CHART / "values.yaml").read_text(), re.MULTILINE)
    (tmp_path / "config.toml").write_text(re.sub(r"^  ", "", block, flags=re.MULTILINE))
    config = load_config({"home": str(tmp_path)}, USUAL)
    assert config.recording.spool_max_bytes > 0
    assert config.storage == StorageConfig(), "nothing is deleted that nobody asked for"


@pytest.mark.skipif(shutil.which("helm") is None, reason="there is no Helm")
@pytest.mark.parametrize("more", [[], ["--set", "replicas=3,web.enabled=false,envFromSecrets={archive}"]])
def test_helm_renders_the_chart(more: list[str]) -> None:
    subprocess.run(["helm", "lint", "--strict", CHART, *more], check=True, capture_output=True, timeout=60)
    command = ["helm", "template", "fleet", CHART, *more]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert told.count("args: [serve, --role,") == (2 if more else 3)
    assert ("secretRef" in told) is bool(more)
