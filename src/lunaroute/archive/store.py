"""The archive as a store of objects that are written once: a directory, S3 or what speaks like it, Google, Azure.

    <day>/<session_id>-<16 hex>.jsonl.zst    a compressed session; the hex is the beginning of its SHA-256
    manifests/<day>/<32 hex>.json            what one push has added of that day, by the sessions' days

In: the URL of a place. Out: sessions and manifests in it. Every put says "only if it is not there", and nothing is ever
written over or deleted: object lock and versioning have nothing to say against it, two machines may push to one place,
and what was interrupted is done again without harm. Of several entries of a session the one pushed last counts.
Credentials and endpoints are those of the environment (AWS_…, GOOGLE_…, AZURE_…); none are in our settings.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.sinks.layout import COMPRESSED_SUFFIX, day_of, make_private_dir
from lunaroute.sinks.syncfs import sync_filesystem

if TYPE_CHECKING:
    from obstore.store import ObjectStore, S3Config

_MANIFESTS = "manifests"
_AT_ONCE = 8
_PATIENCE = timedelta(seconds=30)
"""Of one request, its repeats included: one object that a store cannot read must not hold all others up for long."""
_REASON = re.compile(r"<\?xml.*?<Code>(.*?)</Code>.*?<Message>(.*?)</Message>.*")


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a manifest: a session in the archive, and what lists and filters ask about it."""

    session_id: str
    key: str
    object_bytes: int
    sha256: str
    """Of the object."""
    plain_bytes: int
    plain_sha256: str
    """Of the lines in it."""
    head: str
    """SHA-256 of the last line, the `completed` event."""
    pushed_at: str
    """RFC 3339 UTC."""
    started_at: str | None = None
    completed_at: str | None = None
    provider: str | None = None
    model_used: str | None = None
    client_name: str | None = None
    tags: str | None = None
    request_count: int | None = None
    total_tokens: int | None = None
    total_cost_usd: float | None = None
    first_text: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    day: str
    sessions: list[Archived]


class ArchiveStore:
    """One archive. Its methods raise LunarouteError with the store's own words."""

    def __init__(self, url: str) -> None:
        """`url`: a directory, or file://, s3://, gs://, az:// … with an optional prefix."""
        self._obstore = _installed()
        path = unquote(url.removeprefix("file://")) if url.startswith("file://") else url
        self._folder = None if "://" in path else Path(path).expanduser().absolute()
        if self._folder is not None:
            make_private_dir(self._folder)
        self._store: ObjectStore = self._told(self._open, url)

    def put(self, key: str, data: bytes) -> None:
        """Write an object if there is none of this key; one that is there stays as it is."""
        try:
            self._obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except self._obstore.exceptions.AlreadyExistsError:
            return
        except self._obstore.exceptions.BaseError as error:
            raise LunarouteError(f"cannot write {key} to the archive: {_words(error)}") from error

    def get(self, key: str) -> bytes | None:
        """The object; None = there is none."""
        try:
            return bytes(self._obstore.get(self._store, key).bytes())
        except (self._obstore.exceptions.NotFoundError, FileNotFoundError):
            return None
        except self._obstore.exceptions.BaseError as error:
            raise LunarouteError(f"cannot read {key} from the archive: {_words(error)}") from error

    def sync(self) -> None:
        """Make what was put survive a power loss, where the store is a directory of this machine. Raises OSError."""
        if self._folder is not None:
            sync_filesystem(self._folder)

    def add_manifests(self, entries: list[Archived]) -> None:
        """Say that these are there: one manifest for each day among them."""
        days: dict[str, list[Archived]] = {}
        for entry in sorted(entries, key=lambda entry: entry.session_id):
            days.setdefault(day_of(entry.session_id), []).append(entry)
        for day, sessions in days.items():
            data = msgspec.json.encode(Manifest(day=day, sessions=sessions))
            self.put(f"{_MANIFESTS}/{day}/{hashlib.sha256(data).hexdigest()[:32]}.json", data)
        self.sync()

    def entries(self) -> dict[str, Archived]:
        """session_id → its entry, of all manifests, oldest session first."""
        return self._newest(list(self._keys(f"{_MANIFESTS}/")))

    def entries_of(self, session_ids: Iterable[str]) -> dict[str, Archived]:
        """The same of these sessions, by the manifests of their days."""
        wanted = set(session_ids)
        days = {day_of(session_id) for session_id in wanted}
        keys = [key for day in sorted(days) for key in self._keys(f"{_MANIFESTS}/{day}/")]
        return {session_id: entry for session_id, entry in self._newest(keys).items() if session_id in wanted}

    def _newest(self, keys: list[str]) -> dict[str, Archived]:
        found: dict[str, Archived] = {}
        with ThreadPoolExecutor(_AT_ONCE, "archive") as threads:
            for manifest in threads.map(self._manifest, keys):
                for entry in manifest.sessions:
                    known = found.get(entry.session_id)
                    if known is None or known.pushed_at < entry.pushed_at:
                        found[entry.session_id] = entry
        return dict(sorted(found.items()))

    def _manifest(self, key: str) -> Manifest:
        try:
            return msgspec.json.decode(self.get(key) or b"", type=Manifest)
        except msgspec.MsgspecError as error:
            raise LunarouteError(f"{key} in the archive is damaged: {error}") from error

    def _keys(self, prefix: str) -> Iterator[str]:
        try:
            for batch in self._obstore.list(self._store, prefix=prefix):
                yield from sorted(str(one["path"]) for one in batch)
        except self._obstore.exceptions.BaseError as error:
            raise LunarouteError(f"cannot list the archive: {_words(error)}") from error

    def _open(self, url: str) -> ObjectStore:
        from obstore.store import LocalStore, from_url

        if self._folder is not None:
            return LocalStore(str(self._folder))
        # A bucket that gives each object a retention takes none without a checksum.
        has_checksum = self._obstore.parse_scheme(url) == "s3" and "AWS_CHECKSUM_ALGORITHM" not in os.environ
        config: S3Config | None = {"checksum_algorithm": "SHA256"} if has_checksum else None
        store: ObjectStore = from_url(url, config=config, retry_config={"max_retries": 6, "retry_timeout": _PATIENCE})
        return store

    def _told(self, work: Any, url: str) -> Any:
        try:
            return work(url)
        except (self._obstore.exceptions.BaseError, ValueError, OSError) as error:
            raise LunarouteError(f"cannot open the archive {url}: {_words(error)}") from error


def key_of(session_id: str, sha256: str, copy: int = 0) -> str:
    """Where a session's object is; `copy`: in place of so many damaged ones. Raises ValueError on what is no session
    id."""
    again = f"-{copy}" if copy else ""
    return f"{day_of(session_id)}/{session_id}-{sha256[:16]}{again}{COMPRESSED_SUFFIX}"


def _words(error: Exception) -> str:
    """In one line; of a document of S3's, the reason only."""
    return _REASON.sub(r"\1: \2", " ".join(str(error).split()))[:400]


def _installed() -> Any:
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise LunarouteError("obstore is not installed: pip install 'lunaroute[archive]'") from None
    return obstore
