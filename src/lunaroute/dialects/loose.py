"""Reading JSON that nobody guarantees: wrong types, lone surrogates, bad UTF-8.

In: bytes from the wire. Out: values of the type asked for, or None. Invariant: nothing here raises.

Bodies are decoded by msgspec, which is fast and strict. What it refuses but the standard library reads (a lone
`\\ud83d`, where a provider or client cut an emoji in two; bytes that are not UTF-8; NaN) is mended and tried again.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_any_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def read_any(data: bytes | msgspec.Raw) -> Any:
    """The JSON value in `data`; None when there is none (and for `null`)."""
    return read_as(data, _any_decoder)


def read_piece(data: bytes) -> Any:
    """Like `read_any`, for an event of a stream: halves of a surrogate pair stay as they are, because the other half
    may come in the next event. Texts taken from it go through `join_text` or `well_formed`."""
    try:
        return _any_decoder.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def read_as(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The JSON in `data` as the decoder's type; None when it does not fit."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):
        pass
    mended = _mended(bytes(data))
    if mended is None:
        return None
    try:
        return decoder.decode(mended)
    except (ValueError, RecursionError):
        return None


def read_object(
    data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], list_fields: tuple[str, ...] = ()
) -> T | None:
    """Like `read_as`, for an object whose `list_fields` are lists of objects.

    Where the types do not fit, whatever is no object is left out of those lists and the rest is read."""
    found = read_as(data, decoder)
    if found is not None:
        return found
    loose = read_any(data)
    if not isinstance(loose, dict):
        return None
    for field in list_fields:
        if field in loose:
            loose[field] = [item for item in as_list(loose[field]) if isinstance(item, dict)]
    return read_as(encode(loose), decoder)


def read_objects(data: msgspec.Raw, decoder: msgspec.json.Decoder[list[T]]) -> list[T]:
    """The objects in the list that `data` holds; empty where it is no list."""
    if opening_of(data) != b"[":
        return []
    found = read_as(data, decoder)
    if found is not None:
        return found
    items = [item for item in as_list(read_any(data)) if isinstance(item, dict)]
    return read_as(encode(items), decoder) or []


def objects_in(data: msgspec.Raw) -> list[msgspec.Raw]:
    """The objects in the list that `data` holds, each as its JSON; empty where it is no list."""
    raws = read_as(data, _raw_list_decoder) if opening_of(data) == b"[" else None
    return [raw for raw in raws or [] if opening_of(raw) == b"{"]


def read_text(data: msgspec.Raw) -> str | None:
    """The text where `data` holds a JSON string, else None."""
    return as_text(read_any(data)) if opening_of(data) == b'"' else None


def length_of(data: msgspec.Raw) -> int:
    """The number of items where `data` holds a list, else 0."""
    if opening_of(data) != b"[":
        return 0
    items = read_as(data, _raw_list_decoder)
    return 0 if items is None else len(items)


def encode(value: Any) -> bytes:
    """`value` as JSON. Lone surrogates, which JSON in UTF-8 cannot carry, become U+FFFD."""
    try:
        return msgspec.json.encode(value)
    except (ValueError, RecursionError):
        pass
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, default=_raw_value)).encode()
    except (ValueError, TypeError, RecursionError):
        return b"null"


def as_json(value: msgspec.Raw | dict[str, Any]) -> msgspec.Raw:
    return value if isinstance(value, msgspec.Raw) else msgspec.Raw(encode(value))


def opening_of(data: msgspec.Raw) -> bytes:
    """The first byte: it tells a string (`"`), list or object."""
    return bytes(memoryview(data)[:1])


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_int(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def join_text(parts: list[str]) -> str:
    """Pieces of a streamed text; halves of a surrogate pair that came in two pieces meet again."""
    return well_formed("".join(parts))


def well_formed(text: str) -> str:
    """`text` with surrogate pairs joined and lone surrogates, which UTF-8 cannot carry, as U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _mended(data: bytes) -> bytes | None:
    try:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
        value = json.loads(text, parse_constant=lambda _: None)
        return well_formed(json.dumps(value, ensure_ascii=False)).encode()
    except (ValueError, RecursionError):
        return None


def _raw_value(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    raise TypeError
