"""`verify --chain`: each line names the one before it, and the ends are those that somebody kept."""

from __future__ import annotations

import json
from pathlib import Path

from lunaroute.events import decode_event, encode_event
from lunaroute.verify.check import Head, verify_chains
from tests.builders import as_written

from .conftest import Store


def _problems(store: Store, kept: list[Head] | None = None) -> list[str]:
    problems = verify_chains(store.sessions_dir, kept or []).problems
    return [str(problem).removeprefix(f"{store.sessions_dir}/") for problem in problems]


def _forge(store: Store) -> None:
    """Change a line and make the chain anew behind it."""
    events = [decode_event(line.replace(b"question 0", b"question 9")) for line in store.lines()]
    store.write([encode_event(event) + b"\n" for event in as_written(events)])


def test_a_good_store_gives_its_heads(store: Store) -> None:
    report = verify_chains(store.sessions_dir)
    assert report.problems == []
    assert [(head.session_id, head.line_count) for head in report.heads] == [(path.stem, 8) for path in store.files]
    assert report.heads == store.verify().heads


def test_a_change_shows_in_the_next_line(store: Store) -> None:
    lines = store.lines()
    store.write([lines[0], lines[1].replace(b'"request_text":"question', b'"request_text":"quest'), *lines[2:]])
    (problem,) = _problems(store)
    assert problem.endswith(":3: `prev` does not fit: the line before is not the one that was written before it")


def test_who_makes_the_chain_anew_is_found_by_a_head_that_was_kept(store: Store) -> None:
    kept = verify_chains(store.sessions_dir).heads
    _forge(store)
    assert _problems(store) == []
    (problem,) = _problems(store, kept)
    assert problem.endswith(":8: the file up to here is not the one whose head was kept")


def test_a_file_that_only_grew_since_is_the_same(store: Store) -> None:
    lines = store.lines()
    store.write(lines[:-1])
    kept = verify_chains(store.sessions_dir).heads
    store.write(lines)
    assert _problems(store, kept) == []


def test_an_end_that_was_cut_off_is_found(store: Store) -> None:
    kept = verify_chains(store.sessions_dir).heads
    store.write(store.lines()[:-2])
    (problem,) = _problems(store, kept)
    assert problem.endswith(": has 6 lines; when its head was kept it had 8")


def test_a_file_that_is_gone_is_found(store: Store) -> None:
    kept = verify_chains(store.sessions_dir).heads
    gone = store.files[1]
    gone.unlink()
    assert _problems(store, kept) == [f"{gone.stem}: is gone, though its head was kept"]


def test_a_head_can_be_made_with_sha256sum_alone(store: Store, tmp_path: Path) -> None:
    """The last line has no body, so its link is the hash of its bytes."""
    import hashlib

    (head, _) = verify_chains(store.sessions_dir).heads
    last = store.lines()[-1].rstrip(b"\n")
    assert json.loads(last)["type"] == "completed"
    assert head.link == hashlib.sha256(last).hexdigest()
