"""The record of times in which nobody can be sure of what is so."""

import asyncio

from marie_operator.testing import virtual
from tests.simulation.troubles import Troubles


def test_only_the_time_without_trouble_counts() -> None:
    async def main() -> list[float]:
        troubles, found = Troubles(), []
        await asyncio.sleep(10)
        troubles.last(5)
        await asyncio.sleep(2)
        troubles.begin("a", "watch")
        await asyncio.sleep(8)
        found.append(troubles.before(3))
        troubles.end("a", "list")
        await asyncio.sleep(0)
        troubles.end("a")
        await asyncio.sleep(2)
        found += [troubles.before(1), troubles.before(3)]
        troubles.last(0)
        await asyncio.sleep(2)
        return [*found, troubles.before(3), troubles.before(10)]

    # There was trouble from 10 to 20.
    assert virtual.run(main) == [7, 21, 9, 21, 4]
