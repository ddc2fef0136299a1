"""What becomes of objects whose owners are gone."""

from typing import Any

import pytest

from marie_operator.testing.workloads.garbage import Verdict, blocking, verdict


def owned(*uids: str, blocks: bool = True, finalizers: tuple[str, ...] = ()) -> dict[str, Any]:
    references = [{"uid": each, "blockOwnerDeletion": blocks} for each in uids]
    return {"metadata": {"ownerReferences": references, "finalizers": list(finalizers)}}


HERE: dict[str, Any] = {"metadata": {}}
WAITS: dict[str, Any] = {"metadata": {"deletionTimestamp": "now", "finalizers": ["foregroundDeletion"]}}
GOES: dict[str, Any] = {"metadata": {"deletionTimestamp": "now", "finalizers": ["other"]}}


@pytest.mark.parametrize(
    ("found", "owners", "dependents", "expected"),
    [
        (owned(), {}, [], Verdict()),
        (owned("a"), {"a": HERE}, [], Verdict()),
        (owned("a"), {"a": GOES}, [], Verdict()),
        (owned("a"), {"a": None}, [], Verdict("Background")),
        (owned("a"), {"a": WAITS}, [], Verdict("Background")),
        (owned("a", blocks=False), {"a": WAITS}, [], Verdict()),
        (owned("a"), {"a": WAITS}, [HERE], Verdict("Foreground")),
        (owned("a"), {"a": WAITS}, [WAITS], Verdict("Foreground", unblock=True)),
        (owned("a", "b"), {"a": None, "b": HERE}, [], Verdict(drop=frozenset({"a"}))),
        (owned("a", "b"), {"a": WAITS, "b": HERE}, [], Verdict(drop=frozenset({"a"}))),
        (owned("a", "b"), {"a": None, "b": None}, [], Verdict("Background")),
        (owned("a", finalizers=("orphan",)), {"a": None}, [], Verdict("Orphan")),
        (owned("a", finalizers=("foregroundDeletion",)), {"a": None}, [], Verdict("Foreground")),
    ],
)
def test_the_owners_decide(found: Any, owners: Any, dependents: Any, expected: Verdict) -> None:
    assert verdict(found, owners, dependents) == expected


def test_only_those_who_ask_for_it_block_an_owner() -> None:
    one, other = owned("a"), owned("a", blocks=False)
    assert blocking("a", [one, other, owned("b")]) == [one]
