"""What is sealed is opened by its key only, whole or cut, in any part."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.encryption import keys
from lunaroute.encryption.blocks import BLOCK_BYTES, BlockWriter, is_sealed, open_stored
from lunaroute.encryption.keyring import DamagedError, Keyring, parse_keys
from lunaroute.encryption.keys import keyring, look_for_keys, look_in_home
from lunaroute.encryption.lines import open_line, open_value, seal_line, seal_value
from lunaroute.errors import ConfigError, NoKeyError

ONE, OTHER = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=300))
def test_the_key_opens_what_it_sealed_and_no_other_does(data: bytes) -> None:
    sealed = Keyring([ONE]).seal(data)
    assert Keyring([OTHER, ONE]).open(sealed) == data
    assert sealed != Keyring([ONE]).seal(data), "never the same twice"
    with pytest.raises(NoKeyError, match="another key"):
        Keyring([OTHER]).open(sealed)
    with pytest.raises(NoKeyError, match="LUNAROUTE_ENCRYPTION_KEY"):
        Keyring().open(sealed)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(data: bytes, place: int, bits: int) -> None:
    sealed = bytearray(Keyring([ONE]).seal(data))
    sealed[place % len(sealed)] ^= bits
    with pytest.raises((DamagedError, NoKeyError)):
        Keyring([ONE]).open(bytes(sealed))


@pytest.mark.parametrize("cut", [0, 3, 10, 30, 43])
def test_what_is_cut_short_is_damaged(cut: int) -> None:
    with pytest.raises(DamagedError):
        Keyring([ONE]).open(Keyring([ONE]).seal(b"")[:cut])


@pytest.mark.usefixtures("encrypted")
@given(st.binary(max_size=200).filter(lambda line: b"\n" not in line and not line.startswith(b"~")))
def test_a_line_stays_a_line_and_comes_back(line: bytes) -> None:
    sealed = seal_line(line)
    assert b"\n" not in sealed
    assert open_line(sealed) == line
    assert open_line(line) == line
    assert open_value(seal_value(line)) == line


@pytest.mark.usefixtures("encrypted")
def test_a_torn_line_is_no_line() -> None:
    sealed = seal_line(b'{"seq":1}')
    for end in range(1, len(sealed)):
        assert open_line(sealed[:end]) == sealed[:end]


@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, 200_000])
def test_a_file_of_blocks_is_read_from_any_place(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = write_blocks(tmp_path / "file", data)
    assert is_sealed(path)
    with open_stored(path) as file:
        assert file.read() == data
        assert file.seek(0, os.SEEK_END) == size
        for place in (0, 1, size // 2, max(0, size - 1), size, BLOCK_BYTES, BLOCK_BYTES - 5):
            file.seek(place)
            assert file.read(1000) == data[place : place + 1000]


@pytest.mark.usefixtures("encrypted")
def test_blocks_that_are_cut_moved_or_changed_are_noticed(tmp_path: Path) -> None:
    whole = write_blocks(tmp_path / "file", os.urandom(3 * BLOCK_BYTES + 5)).read_bytes()
    block = BLOCK_BYTES + 16
    first = len(whole) - (3 * block + 5 + 16)
    moved = whole[:first] + whole[first + block : first + 2 * block] + whole[first : first + block]
    for bad in (whole[:-1], whole[:-21], whole[: first + block], moved, whole[:first], whole[:-3] + b"xyz"):
        (tmp_path / "bad").write_bytes(bad)
        with open_stored(tmp_path / "bad") as file, pytest.raises(EOFError):
            file.read()


def write_blocks(path: Path, data: bytes) -> Path:
    with path.open("wb") as file:
        writer = BlockWriter(file)
        stream = io.BytesIO(data)
        while part := stream.read(10_000):
            writer.write(part)
        assert writer.tell() == len(data)
        writer.finish()
    return path


def test_what_is_not_sealed_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"LR and so on")
    with open_stored(tmp_path / "plain") as file:
        assert file.read() == b"LR and so on"
    assert not is_sealed(tmp_path / "plain")


def test_keys_are_read_in_both_forms_and_never_quoted() -> None:
    text = f"# the new one\n{base64.b64encode(ONE).decode()}\n\n{OTHER.hex()}\n"
    assert parse_keys(text, "file") == [ONE, OTHER]
    for bad in ("", "# only words", "secret!", ONE.hex()[:-2]):
        with pytest.raises(ConfigError, match=r"^file: ") as told:
            parse_keys(bad, "file")
        assert "secret" not in str(told.value)


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (keys.KEY_VARIABLE, keys.FILE_VARIABLE, "LUNAROUTE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    look_for_keys()


@pytest.mark.usefixtures("no_key")
def test_the_key_comes_from_the_environment_before_a_file_before_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = {key: Keyring([key]).seal(b"x") for key in (ONE, OTHER)}
    look_in_home(tmp_path)
    assert not keyring().is_on
    (tmp_path / "key").write_text(ONE.hex())
    (tmp_path / "config.toml").write_text(f'[encryption]\nkey_file = "{tmp_path / "key"}"\n')
    look_in_home(tmp_path)
    assert keyring().open(sealed[ONE]) == b"x"
    (tmp_path / "other").write_text(OTHER.hex())
    monkeypatch.setenv(keys.FILE_VARIABLE, str(tmp_path / "other"))
    look_in_home(tmp_path)
    assert keyring().open(sealed[OTHER]) == b"x"
    monkeypatch.setenv(keys.KEY_VARIABLE, ONE.hex())
    look_in_home(tmp_path)
    assert keyring().open(sealed[ONE]) == b"x"
    look_for_keys()


@pytest.mark.usefixtures("no_key")
def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    look_for_keys(lambda: str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"the key file .*nothing cannot be read: No such file"):
        keyring()
    look_for_keys()
