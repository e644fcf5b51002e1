"""The bounded index: order, bounds, and stored state."""

from __future__ import annotations

from lunaroute.sessions.index import BoundedIndex, id_key


def blobs_of(index: BoundedIndex) -> dict[str, bytes]:
    put: dict[str, bytes] = {}
    index.take_changes(put, set())
    return put


def test_the_oldest_entry_leaves_first() -> None:
    index = BoundedIndex("l:", 2, 1000)
    index.put("a", "1", 0)
    index.put("b", "2", 0)
    index.put("a", "3", 0)
    index.put("c", "4", 0)
    assert (index.get("a"), index.get("b"), index.get("c")) == ("3", None, "4")


def test_entries_older_than_the_bound_leave() -> None:
    index = BoundedIndex("l:", 10, 1000)
    index.put("a", "1", 0)
    index.put("b", "2", 1001)
    assert (index.get("a"), index.get("b")) == (None, "2")


def test_a_restored_index_forgets_in_the_same_order() -> None:
    index = BoundedIndex("l:", 3, 1000)
    for key in "zyx":
        index.put(key, key, 0)
    restored = BoundedIndex("l:", 3, 1000)
    restored.restore(blobs_of(index) | {"other:z": b""})
    restored.put("w", "w", 0)
    assert [restored.get(key) for key in "zyxw"] == [None, "y", "x", "w"]


def test_changes_name_what_is_new_and_what_is_gone_once() -> None:
    index = BoundedIndex("l:", 1, 1000)
    index.put("a", "1", 0)
    blobs_of(index)
    index.put("b", "2", 0)
    put: dict[str, bytes] = {}
    deleted: set[str] = set()
    index.take_changes(put, deleted)
    assert (list(put), deleted) == (["l:b"], {"l:a"})
    assert blobs_of(index) == {}


def test_keys_of_different_parts_differ_even_when_they_join_to_the_same_text() -> None:
    assert id_key("ab", "c") != id_key("a", "bc")
    assert id_key("a") == id_key("a")
