"""Listing a real S3 server, and what its refusals become."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marie_operator.controllers.mariejob.credentials import Credentials
from marie_operator.controllers.mariejob.listing import ListingFailure, Listings
from marie_operator.controllers.mariejob.selection import Selection
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import BucketLister, ListingError, ListRequest, Page, documents
from marie_operator.runtime.resource import ObjectKey
from marie_operator.testing.controlplane import locate_binaries
from marie_operator.testing.objectstore import SimulatedS3
from marie_operator.testing.s3 import S3Server

pytestmark = pytest.mark.controlplane

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    async with S3Server(locate_binaries(REPOSITORY) / "versitygw", tmp_path) as server:
        for key in ("in/a.pdf", "in/b c.pdf", "in/sub/x.pdf", "in/ü+%41#?.pdf", "in.pdf", "in-too/z.pdf"):
            server.put("bucket", key, b"%PDF")
        yield server


def own(s3: S3Server, **changes: str) -> Credentials:
    known = {
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
        "endpoint_url": s3.endpoint,
        "region": "us-east-1",
    }
    return Credentials(**{**known, **changes})


def asked(s3: S3Server, bucket: str = "bucket", prefix: str = "in/", after: str = "", **changes: str) -> ListRequest:
    return ListRequest(Prefix(bucket, prefix), after, own(s3, **changes))


async def refusal(request: ListRequest) -> ListingError:
    with pytest.raises(ListingError) as caught:
        await BucketLister({}).page(request)
    return caught.value


async def test_keys_under_a_prefix_come_in_order_and_as_they_are(s3: S3Server) -> None:
    page = await BucketLister({}).page(asked(s3))
    assert page.keys == ("in/a.pdf", "in/b c.pdf", "in/sub/x.pdf", "in/ü+%41#?.pdf")
    assert (page.end, page.last) == ("in/ü+%41#?.pdf", True)


async def test_a_page_begins_after_the_cursor(s3: S3Server) -> None:
    page = await BucketLister({}).page(asked(s3, after="in/b c.pdf"))
    assert page.keys == ("in/sub/x.pdf", "in/ü+%41#?.pdf")


async def test_a_whole_bucket_is_a_prefix_too(s3: S3Server) -> None:
    page = await BucketLister({}).page(asked(s3, prefix=""))
    assert len(page.keys) == 6


@pytest.mark.parametrize("key", ["in//a.pdf", "in/b/../a.pdf", "in/./a.pdf"])
async def test_a_key_that_is_no_path_is_named(key: str) -> None:
    """No file system has such a key, and so no server here but the simulated one."""
    async with SimulatedS3() as simulated:
        simulated.put("bucket", key, b"%PDF")
        access = Credentials(
            access_key_id=simulated.access_key, secret_access_key="any", endpoint_url=simulated.endpoint
        )
        found = await refusal(ListRequest(Prefix("bucket", "in/"), "", access))
    assert f"has '{key}', which is no path" in str(found)
    assert found.answered


async def test_nothing_under_a_prefix_is_the_last_page(s3: S3Server) -> None:
    page = await BucketLister({}).page(asked(s3, prefix="nothing/"))
    assert (page.keys, page.last) == ((), True)


async def test_a_thousand_keys_make_a_page(s3: S3Server) -> None:
    for number in range(1001):
        s3.put("many", f"in/{number:04}.pdf", b"%PDF")
    first = await BucketLister({}).page(asked(s3, "many"))
    assert (len(first.keys), first.end, first.last) == (1000, "in/0999.pdf", False)
    second = await BucketLister({}).page(asked(s3, "many", after=first.end))
    assert (second.keys, second.last) == (("in/1000.pdf",), True)


async def test_thousands_of_keys_are_walked_from_any_place_each_once(s3: S3Server) -> None:
    keys = [f"in/{number:04}.{'tif' if number % 3 else 'pdf'}" for number in range(2500)]
    for key in keys:
        s3.put("thousands", key, b"%PDF")
    selection, listings = (
        Selection(include=("*.pdf",), exclude=("00*",)),
        Listings(BucketLister({}), on_change=lambda _: None),
    )
    running = asyncio.create_task(listings.run())
    job, cursor, taken = ObjectKey("docs", "scan"), "in/0700.tif", list[str]()
    while True:
        request = asked(s3, "thousands", after=cursor)
        listings.want(job, request)
        while (page := listings.outcome(job)) is None or not (
            isinstance(page, Page) and (page.last or page.end > cursor)
        ):
            assert not isinstance(page, ListingFailure), page
            await asyncio.sleep(0.01)
        ahead = [key for key in page.keys if key > cursor][:900]
        taken += [key for key in ahead if selection.takes(request.source, key)]
        if not ahead:
            break
        cursor = ahead[-1]
    assert taken == [key for key in keys[701:] if key.endswith(".pdf")]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_without_a_secret_the_operators_environment_is_used(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    page = await BucketLister(s3.environment).page(ListRequest(Prefix("bucket", "in/")))
    assert len(page.keys) == 4


async def test_a_jobs_own_credentials_are_not_mixed_with_the_operators(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-operator")
    assert len((await BucketLister(s3.environment).page(asked(s3))).keys) == 4
    error = await refusal(asked(s3, secret_access_key="theirs"))
    assert "the credentials of spec.input.credentialsSecretRef (SignatureDoesNotMatch)" in str(error)


async def test_a_missing_bucket_is_named(s3: S3Server) -> None:
    error = await refusal(asked(s3, "nowhere"))
    assert f"{s3.endpoint} has no bucket nowhere" in str(error)
    assert error.answered


async def test_unknown_credentials_are_named(s3: S3Server) -> None:
    assert "does not accept the credentials" in str(await refusal(asked(s3, access_key_id="nobody")))


async def test_an_endpoint_that_does_not_answer_is_named(s3: S3Server) -> None:
    error = await refusal(asked(s3, endpoint_url="http://127.0.0.1:1"))
    assert "http://127.0.0.1:1 cannot be reached" in str(error)
    assert not error.answered


async def test_an_endpoint_of_the_environment_that_is_no_url_is_named() -> None:
    with pytest.raises(ListingError, match="The operator's AWS_ENDPOINT_URL is 'minio:9000', which is no URL"):
        await BucketLister({"AWS_ENDPOINT_URL": "minio:9000"}).page(ListRequest(Prefix("bucket", "in/")))


@pytest.mark.parametrize(
    ("objects", "keys"),
    [
        ([("in", 0), ("in/a.pdf", 4)], ("in/a.pdf",)),
        ([("in/folder", 0)], ()),
        ([("in/v1.0", 0), ("in/v1.0/a.pdf", 4)], ("in/v1.0/a.pdf",)),
        ([("in/folder_$folder$", 0)], ()),
        ([("in/empty.pdf", 0)], ("in/empty.pdf",)),
        ([("in/noextension", 4)], ("in/noextension",)),
    ],
)
def test_what_stands_for_a_folder_is_no_document(objects: list[tuple[str, int]], keys: tuple[str, ...]) -> None:
    assert documents([{"path": path, "size": size} for path, size in objects]) == keys
