"""Documents that are in no object store: put where Marie reads from, and taken away."""

import asyncio
import base64
import contextlib

import pytest

from marie_operator.controllers.mariejob import staging
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.objects import ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.controllers.mariejob.source import Inline
from marie_operator.controllers.mariejob.store import ListingError
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, ObjectKey
from marie_operator.testing import virtual
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.memory import MemoryObjects

KEY, MARIE = ObjectKey("docs", "scan"), Bucket("marie")
PLACE = "s3://marie/staged/scan-1/"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def served() -> ApiServer:
    api = ApiServer()
    metadata = {"namespace": "docs", "name": "letters"}
    api.put(
        CONFIG_MAPS,
        {"metadata": metadata, "data": {"b.txt": "grüße"}, "binaryData": {"a.pdf": encoded(b"%PDF\xff")}},
    )
    api.put(SECRETS, {"metadata": metadata, "data": {"c.pdf": encoded(b"secret")}})
    return api


@pytest.mark.parametrize(
    ("source", "documents"),
    [
        (Inline("scan-1", "docs", "", "document.pdf", b"%PDF", MARIE), {"document.pdf": b"%PDF"}),
        (
            Inline("scan-1", "docs", "ConfigMap", "letters", store=MARIE),
            {"a.pdf": b"%PDF\xff", "b.txt": "grüße".encode()},
        ),
        (Inline("scan-1", "docs", "Secret", "letters", store=MARIE), {"c.pdf": b"secret"}),
    ],
    ids=["data", "ConfigMap", "Secret"],
)
async def test_what_is_held_is_put_where_marie_reads_from(source: Inline, documents: dict[str, bytes]) -> None:
    objects = MemoryObjects("marie")
    keys = await staging.stage(objects, served(), source, "")
    assert keys == tuple(f"{PLACE}{name}" for name in documents)
    assert objects.under("marie") == {f"staged/scan-1/{name}": content for name, content in documents.items()}


async def test_what_was_taken_is_not_put_again() -> None:
    objects = MemoryObjects("marie")
    source = Inline("scan-1", "docs", "ConfigMap", "letters", store=MARIE)
    assert await staging.stage(objects, served(), source, f"{PLACE}a.pdf") == (f"{PLACE}b.txt",)
    assert list(objects.under("marie")) == ["staged/scan-1/b.txt"]


async def test_what_is_not_there_is_told_as_such() -> None:
    source = Inline("scan-1", "docs", "ConfigMap", "none", store=MARIE)
    with pytest.raises(ListingError, match="There is no ConfigMap none in namespace docs") as caught:
        await staging.stage(MemoryObjects("marie"), served(), source, "")
    assert caught.value.missing


async def test_a_store_that_refuses_is_told_in_its_words() -> None:
    source = Inline("scan-1", "docs", "", "document.pdf", b"x", MARIE)
    with pytest.raises(ListingError, match="There is no bucket marie") as caught:
        await staging.stage(MemoryObjects(), served(), source, "")
    assert caught.value.answered


@pytest.mark.parametrize("text", ["aGVsbG8=", "aGVs\n bG8=\n"])
def test_base64_may_have_line_breaks(text: str) -> None:
    assert staging.decoded(text) == b"hello"


@pytest.mark.parametrize("text", ["?", "aGVsbG8", "hellö"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        staging.decoded(text)


@pytest.mark.parametrize(("refusals", "told"), [(0, ""), (4, ""), (5, "What was put under s3://marie/staged/scan-1/")])
def test_documents_are_taken_away_and_a_store_that_refuses_is_tried_five_times(refusals: int, told: str) -> None:
    async def main() -> None:
        objects = MemoryObjects("marie")
        objects.put("marie", "staged/scan-1/a.pdf", b"a")
        objects.put("marie", "staged/scan-10/a.pdf", b"another job's")
        left = refusals

        def refuse(what: str, bucket: Bucket) -> None:
            nonlocal left
            if what == "delete" and left:
                left -= 1
                raise ObjectsError("no rights.", bucket, Refusal.DENIED)

        objects.on_request = refuse
        changed = asyncio.Event()
        clearances = staging.Clearances(objects, on_change=lambda _: changed.set())
        running = asyncio.create_task(clearances.run())
        source = Inline("scan-1", "docs", "", "a.pdf", b"a", MARIE)
        clearances.want(KEY, "uid", source.folder)
        clearances.want(KEY, "uid", source.folder)
        assert clearances.outcome(KEY) is None
        await changed.wait()
        outcome = clearances.outcome(KEY)
        assert outcome is not None
        assert outcome.startswith(told)
        assert bool(outcome) == bool(told)
        assert ("staged/scan-1/a.pdf" in objects.under("marie")) == bool(told)
        assert "staged/scan-10/a.pdf" in objects.under("marie")
        assert objects.requests["delete"] <= 5
        clearances.want(KEY, "uid", None)
        assert clearances.outcome(KEY) is None
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    virtual.run(main)
