"""Secrets are read by name, rarely, and what cannot be text is not there."""

import base64

import pytest

from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.named import NamedObjects
from marie_operator.runtime import Forbidden
from marie_operator.runtime.resource import SECRETS, ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock

KEY = ObjectKey("docs", "c-api-key")


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def put(api: ApiServer, **data: bytes) -> None:
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "c-api-key"}, "data": encoded})


async def test_a_secret_is_read_once_in_half_a_minute(api: ApiServer, clock: TurnedClock) -> None:
    put(api, apiKey=b"one")
    secrets = Secrets(NamedObjects(api, clock=clock))
    assert await secrets.get(KEY) == {"apiKey": "one"}
    put(api, apiKey=b"two")
    clock.wait(29)
    assert await secrets.get(KEY) == {"apiKey": "one"}
    clock.wait(1)
    assert await secrets.get(KEY) == {"apiKey": "two"}
    assert len(api.requests) == 2


async def test_an_absent_secret_is_looked_for_sooner(api: ApiServer, clock: TurnedClock) -> None:
    secrets = Secrets(NamedObjects(api, clock=clock))
    assert await secrets.get(KEY) is None
    put(api, apiKey=b"one")
    clock.wait(5)
    assert await secrets.get(KEY) == {"apiKey": "one"}


async def test_a_line_break_at_the_end_is_no_part_of_a_key(api: ApiServer, clock: TurnedClock) -> None:
    put(api, apiKey=b"mas_key\n", blank=b" \n", binary=b"\xff\xfe")
    assert await Secrets(NamedObjects(api, clock=clock)).get(KEY) == {"apiKey": "mas_key"}


async def test_what_is_not_permitted_is_not_remembered(api: ApiServer, clock: TurnedClock) -> None:
    put(api, apiKey=b"one")
    secrets = Secrets(NamedObjects(api, clock=clock))
    api.forbidden.add(("get", SECRETS))
    with pytest.raises(Forbidden):
        await secrets.get(KEY)
    api.forbidden.clear()
    assert await secrets.get(KEY) == {"apiKey": "one"}
