"""Which clusters would share an etcd or a database, by what they wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.controllers.mariecluster import sharing


def live(name: str = "c", *, namespace: str = "n", created: str = "2026-01-01T00:00:00Z", **services: Any) -> Any:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"backingServices": services}}


@pytest.mark.parametrize("host", ["etcd.n", "etcd.n.svc", "ETCD.n.svc.cluster.local.", "etcd"])
def test_all_names_of_a_service_are_one_store(host: str) -> None:
    assert list(sharing.stores(live(etcd={"host": host}))) == ["etcd://etcd.n:2379"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"host": "db"}, {"host": "db", "port": 5432, "database": "postgres"}, True),
        ({"host": "db"}, {"host": "db", "database": "marie"}, False),
        ({"host": "db"}, {"host": "db", "port": 6432}, False),
        ({"host": "db.example.com"}, {"host": "DB.example.com"}, True),
        ({"managed": {}}, {"host": "c-postgres.n.svc"}, True),
        ({"managed": {}}, {"managed": {}}, True),
    ],
)
def test_two_databases_are_one_when_server_and_name_are(one: Any, other: Any, same: bool) -> None:
    assert (list(sharing.stores(live(postgres=one))) == list(sharing.stores(live(postgres=other)))) == same


@pytest.mark.parametrize("host", ["10.0.0.5", "fd00::5", "FD00:0::5"])
def test_an_address_is_one_server_in_every_namespace(host: str) -> None:
    found = [list(sharing.stores(live(namespace=each, postgres={"host": host}))) for each in ("a", "b")]
    assert found[0] == found[1] == [f"postgres://{host if '.' in host else 'fd00::5'}:5432/postgres"]


def test_the_managed_services_of_two_clusters_are_two() -> None:
    managed: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    found = [set(sharing.stores(live(name, **managed))) for name in ("a", "b")]
    assert [len(each) for each in found] == [2, 2]
    assert not found[0] & found[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["etcd", "postgres", "host", "port", "managed", "database"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_cannot_be_read_is_no_store_and_no_error(services: Any) -> None:
    found = live()
    found["spec"] = {"backingServices": services}
    assert all(isinstance(each, str) for each in sharing.stores(found))


AGES = st.lists(st.integers(0, 2), min_size=2, max_size=5)


@given(AGES)
def test_of_all_that_share_a_store_exactly_the_oldest_has_it(ages: list[int]) -> None:
    users = [
        live(f"c{number}", created=f"2026-01-0{age + 1}T00:00:00Z", etcd={"host": "e"})
        for number, age in enumerate(ages)
    ]
    (store,) = sharing.stores(users[0])
    free = [each["metadata"]["name"] for each in users if not sharing.problems(each, {store: users})]
    oldest = min(range(len(ages)), key=lambda number: (ages[number], f"uid-c{number}"))
    assert free == [f"c{oldest}"]
