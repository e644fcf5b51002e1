"""[pure] Keys, and what is sealed with them. This docstring is the format's definition.

    sealed    4 bytes key id · 24 bytes nonce · ciphertext · 16 bytes tag    XChaCha20-Poly1305 (IETF), no other data

A key is 32 bytes; its id is the BLAKE2b-32 of it. The first key of a ring seals, all of them open: so a key is changed
by putting the new one before the old one.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Sequence

from lunaroute.errors import ConfigError, NoKeyError

KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 24
TAG_BYTES = 16
HOW_TO_GIVE_A_KEY = (
    "give it by LUNAROUTE_ENCRYPTION_KEY, LUNAROUTE_ENCRYPTION_KEY_FILE, or key_file in [encryption] of config.toml"
)


class DamagedError(ValueError):
    """Sealed bytes that are not what was sealed."""


def key_id(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=KEY_ID_BYTES, person=b"lunaroute key").digest()


def parse_keys(text: str, origin: str) -> list[bytes]:
    """Keys in base64 or hexadecimal digits, a line each; lines of `#` say nothing. Raises ConfigError, which does not
    quote them."""
    keys = [_parse(line.strip(), origin) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not keys:
        raise ConfigError(f"{origin}: there is no key in it")
    return keys


def _parse(text: str, origin: str) -> bytes:
    for decode in (binascii.unhexlify, lambda text: binascii.a2b_base64(text, strict_mode=True)):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise ConfigError(f"{origin}: a key is {KEY_BYTES} bytes in base64 or hexadecimal digits")


class Keyring:
    """seal, open. An empty one seals nothing and opens nothing. Raises ConfigError where there are keys and no
    libsodium."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._first = keys[0] if keys else b""
        self._first_id = key_id(self._first) if keys else b""
        if keys:
            self._encrypt, self._decrypt, self._random = _libsodium()

    @property
    def is_on(self) -> bool:
        """Whether there is a key to seal with."""
        return bool(self._first)

    def seal(self, data: bytes | memoryview) -> bytes:
        """Any buffer will do; libsodium's binding takes bytes alone."""
        nonce = self._random(NONCE_BYTES)
        return self._first_id + nonce + self._encrypt(bytes(data), None, nonce, self._first)

    def open(self, sealed: bytes) -> bytes:
        """Raises NoKeyError, DamagedError."""
        key = self.key_of(sealed[:KEY_ID_BYTES])
        start = KEY_ID_BYTES + NONCE_BYTES
        return self.open_with(key, sealed[KEY_ID_BYTES:start], sealed[start:])

    def seal_with(self, nonce: bytes, data: bytes) -> bytes:
        """With the first key and a nonce that nothing else has; ciphertext and tag."""
        return self._encrypt(data, None, nonce, self._first)

    def open_with(self, key: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
        """Raises DamagedError."""
        try:
            return self._decrypt(ciphertext, None, nonce, key)
        except Exception as error:  # its own kinds of error, one for each thing that can be wrong
            raise DamagedError("sealed bytes are damaged") from error

    @property
    def first_id(self) -> bytes:
        return self._first_id

    def random(self, size: int) -> bytes:
        return self._random(size)

    def key_of(self, wanted: bytes) -> bytes:
        """Raises NoKeyError, DamagedError."""
        if len(wanted) < KEY_ID_BYTES:
            raise DamagedError("sealed bytes are cut short")
        key = self._keys.get(wanted)
        if key is None:
            other = "another key" if self._keys else "a key"
            raise NoKeyError(f"this is encrypted, and needs {other} ({wanted.hex()}): {HOW_TO_GIVE_A_KEY}")
        return key


def _libsodium() -> tuple[Callable[..., bytes], Callable[..., bytes], Callable[[int], bytes]]:
    try:
        from nacl.bindings import (
            crypto_aead_xchacha20poly1305_ietf_decrypt,
            crypto_aead_xchacha20poly1305_ietf_encrypt,
            randombytes,
        )
    except ImportError:
        raise ConfigError("encryption needs PyNaCl: pip install 'lunaroute[encryption]'") from None
    return crypto_aead_xchacha20poly1305_ietf_encrypt, crypto_aead_xchacha20poly1305_ietf_decrypt, randombytes
