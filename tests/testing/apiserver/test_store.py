"""The store against a model that remembers everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.apiserver.store import Bucket, Change, Forgotten, Key, Store

PODS: Bucket = ("", "pods")
SECRETS: Bucket = ("", "secrets")
KEYS = [Key(namespace, name) for namespace in ("a", "b") for name in ("x", "y", "z")]
OPERATIONS = st.lists(st.tuples(st.sampled_from([PODS, SECRETS]), st.sampled_from(KEYS), st.booleans()), max_size=40)


def _run(store: Store, operations: list[tuple[Bucket, Key, bool]]) -> list[dict[Key, str]]:
    """Carry out operations on both; the pods at each revision from the first on."""
    state: dict[Key, str] = {}
    states = [dict(state)]
    for bucket, key, put in operations:
        if put:
            store.put(bucket, key, {"metadata": {"name": key.name}})
        elif store.get(bucket, key) is None:
            continue
        else:
            store.remove(bucket, key)
        if bucket == PODS and put:
            state[key] = str(store.revision)
        elif bucket == PODS:
            del state[key]
        states.append(dict(state))
    return states


def _pods(store: Store, revision: int | None = None, namespace: str = "") -> dict[Key, str]:
    found = store.range(PODS, namespace, revision=revision)
    return {entry.key: entry.object["metadata"]["resourceVersion"] for entry in found}


@given(OPERATIONS)
def test_every_revision_can_be_read_again(operations: list[tuple[Bucket, Key, bool]]) -> None:
    store = Store()
    states = _run(store, operations)
    assert store.revision == len(states)
    for revision, state in enumerate(states, start=1):
        assert _pods(store, revision) == state
        assert list(_pods(store, revision)) == sorted(state)
        assert _pods(store, revision, "a") == {key: value for key, value in state.items() if key.namespace == "a"}


@given(OPERATIONS, st.integers(min_value=0, max_value=40))
def test_what_came_since_leads_from_then_to_now(operations: list[tuple[Bucket, Key, bool]], since: int) -> None:
    store = Store()
    told: list[Change] = []
    store.listen(PODS, told.append)
    states = _run(store, operations)
    since = min(since, len(states) - 1)
    replayed = dict(states[since])
    for change in store.since(PODS, since + 1):
        assert change.revision > since + 1
        before = change.previous and change.previous.object["metadata"]["resourceVersion"]
        assert replayed.get(change.entry.key) == before
        if change.removed:
            del replayed[change.entry.key]
        else:
            replayed[change.entry.key] = change.entry.object["metadata"]["resourceVersion"]
    assert replayed == states[-1]
    assert told == list(store.since(PODS, 0))


def test_a_page_goes_on_where_the_last_one_ended() -> None:
    store = Store()
    for key in KEYS:
        store.put(PODS, key, {"metadata": {}})
    assert [entry.key for entry in store.range(PODS, after=Key("a", "y"))] == KEYS[2:]
    assert [entry.key for entry in store.range(PODS, "a", after=Key("a", "y"))] == [Key("a", "z")]


@pytest.mark.parametrize("compact", [True, False])
def test_what_is_forgotten_is_said_to_be(compact: bool) -> None:
    store = Store(history=3)
    for _ in range(6):
        store.put(PODS, KEYS[0], {"metadata": {}})
    if compact:
        store.compact()
    with pytest.raises(Forgotten):
        store.since(PODS, 2)
    with pytest.raises(Forgotten):
        store.range(PODS, revision=2)
    assert store.since(PODS, store.revision) == []
    assert len(_pods(store)) == 1


def test_who_stops_listening_hears_nothing_more() -> None:
    store = Store()
    told: list[Change] = []
    stop = store.listen(PODS, told.append)
    store.put(PODS, KEYS[0], {"metadata": {}})
    stop()
    store.put(PODS, KEYS[0], {"metadata": {}})
    assert [change.revision for change in told] == [2]
