"""The bounded index: order, bounds, and stored state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lunaroute.sessions.index import BoundedIndex, id_key


def blobs_of(index: BoundedIndex[str]) -> dict[str, bytes]:
    put: dict[str, bytes] = {}
    index.take_changes(put, set())
    return put


def test_the_oldest_entry_leaves_first() -> None:
    index: BoundedIndex[str] = BoundedIndex("l:", str, 2, 1000)
    index.put("a", "1", 0)
    index.put("b", "2", 0)
    index.put("a", "3", 0)
    index.put("c", "4", 0)
    assert (index.get("a"), index.get("b"), index.get("c")) == ("3", None, "4")


def test_entries_older_than_the_bound_leave() -> None:
    index: BoundedIndex[str] = BoundedIndex("l:", str, 10, 1000)
    index.put("a", "1", 0)
    index.put("b", "2", 1001)
    assert (index.get("a"), index.get("b")) == (None, "2")


def test_a_restored_index_forgets_in_the_same_order() -> None:
    index: BoundedIndex[str] = BoundedIndex("l:", str, 3, 1000)
    for key in "zyx":
        index.put(key, key, 0)
    restored: BoundedIndex[str] = BoundedIndex("l:", str, 3, 1000)
    restored.restore(blobs_of(index) | {"other:z": b""})
    restored.put("w", "w", 0)
    assert [restored.get(key) for key in "zyxw"] == [None, "y", "x", "w"]


def test_only_pages_that_changed_are_given_out_and_empty_ones_are_deleted() -> None:
    index: BoundedIndex[str] = BoundedIndex("l:", str, 300, 1000)
    for number in range(300):
        index.put(str(number), "v", 0)
    assert set(blobs_of(index)) == {"l:0", "l:1"}
    assert blobs_of(index) == {}
    index.put("new", "v", 0)  # and the oldest leaves
    assert set(blobs_of(index)) == {"l:0", "l:1"}
    for number in range(256, 300):
        index.drop(str(number))
    index.drop("new")
    put: dict[str, bytes] = {}
    deleted: set[str] = set()
    index.take_changes(put, deleted)
    assert (put, deleted) == ({}, {"l:1"})


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.booleans()), max_size=60))
def test_what_was_given_out_is_the_whole_index(steps: list[tuple[str, bool, bool]]) -> None:
    """(key, is put or dropped, is stored then)."""
    index: BoundedIndex[str] = BoundedIndex("l:", str, 5, 1000)
    stored: dict[str, bytes] = {}
    for number, (key, is_put, is_stored) in enumerate([*steps, ("a", False, True)]):
        if is_put:
            index.put(key, str(number), number)
        else:
            index.drop(key)
        if is_stored:
            deleted: set[str] = set()
            index.take_changes(stored, deleted)
            for name in deleted:
                stored.pop(name, None)
    restored: BoundedIndex[str] = BoundedIndex("l:", str, 5, 1000)
    restored.restore(stored)
    assert [restored.get(key) for key in "abcdefgh"] == [index.get(key) for key in "abcdefgh"]


def test_keys_of_different_parts_differ_even_when_they_join_to_the_same_text() -> None:
    assert id_key("ab", "c") != id_key("a", "bc")
    assert id_key("a") == id_key("a")
