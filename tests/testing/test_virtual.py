"""Virtual time: nothing is waited for, everything happens in order, and nothing from outside takes part."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing import virtual


@given(st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=30))
def test_sleepers_wake_in_the_order_of_their_times(seconds: list[float]) -> None:
    async def main() -> list[float]:
        woken: list[float] = []

        async def sleeper(delay: float) -> None:
            await asyncio.sleep(delay)
            woken.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(sleeper(each) for each in seconds))
        return woken

    assert virtual.run(main) == pytest.approx(sorted(seconds), abs=1e-5)


@given(st.lists(st.floats(min_value=1.0, max_value=1.00001), min_size=1, max_size=30))
def test_nobody_is_woken_too_early(seconds: list[float]) -> None:
    async def sleeper(delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        await asyncio.sleep(delay)
        assert loop.time() >= due

    async def main() -> None:
        await asyncio.gather(*(sleeper(each) for each in seconds))

    virtual.run(main)


def test_a_timeout_is_met_at_its_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.sleep(7200)
        return asyncio.get_running_loop().time()

    assert virtual.run(main, start=100) == pytest.approx(3700)


def test_who_waits_for_ever_is_told() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual.NothingLeft, match="no timer is set"):
        virtual.run(main)


def test_threads_and_sockets_have_no_virtual_time() -> None:
    async def thread() -> None:
        await asyncio.to_thread(int)

    async def socket() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    with pytest.raises(RuntimeError, match="a thread was asked for"):
        virtual.run(thread)
    with pytest.raises((NotImplementedError, RuntimeError)):
        virtual.run(socket)
