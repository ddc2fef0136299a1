"""What is done with buckets of other clouds, on servers that speak their protocols."""

import asyncio
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import AzureCredentials, Credentials, GoogleCredentials
from marie_operator.controllers.mariejob.objects import BucketObjects, ObjectsError, whole
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.controllers.mariejob.store import BucketLister, ListingError, ListRequest
from marie_operator.testing.s3 import S3Server
from tests.clouds.azurite import Azurite
from tests.clouds.cloud import Cloud, asked, bucket, credentials
from tests.clouds.google import GoogleStorage

pytestmark = [pytest.mark.controlplane, pytest.mark.asyncio(loop_scope="session")]

LARGE = os.urandom(20 * 1024 * 1024)


async def refusal(request: ListRequest) -> ListingError:
    with pytest.raises(ListingError) as caught:
        await BucketLister({}).page(request)
    return caught.value


async def test_keys_under_a_prefix_come_in_order_and_as_they_are(cloud: Cloud) -> None:
    name = await cloud.bucket()
    for key in ("in/a.pdf", "in/b c.pdf", "in/sub/x.pdf", "in/ü+%41#?.pdf", "in.pdf", "in-too/z.pdf"):
        await cloud.put(name, key)
    page = await BucketLister({}).page(asked(cloud, name))
    assert page.keys == ("in/a.pdf", "in/b c.pdf", "in/sub/x.pdf", "in/ü+%41#?.pdf")
    assert (page.end, page.last) == ("in/ü+%41#?.pdf", True)
    assert (await BucketLister({}).page(asked(cloud, name, "nothing/"))).keys == ()


NAMES = st.text(st.sampled_from("aZ09 -_.+~ü%#?&='(中"), min_size=1, max_size=8)
KEYS = st.builds(lambda folder, name: f"{folder}{name}.pdf", st.sampled_from(["", "sub/", "a-b/", "a/"]), NAMES)


@given(keys=st.sets(KEYS, min_size=1, max_size=12), cursor=KEYS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_listing_goes_on_after_any_cursor(cloud: Cloud, keys: set[str], cursor: str) -> None:
    name, lister = await cloud.bucket(), BucketLister({})
    for key in keys:
        await cloud.put(name, f"in/{key}")
    whole = sorted(f"in/{key}" for key in keys)
    for after in ("", f"in/{cursor}", *whole):
        page = await lister.page(asked(cloud, name, after=after))
        assert page.keys == tuple(key for key in whole if key > after)
        assert page.last


async def test_a_thousand_keys_make_a_page_and_what_is_before_the_cursor_is_not_read(cloud: Cloud) -> None:
    name = await cloud.bucket()
    keys = [f"in/{number:04}.pdf" for number in range(1001)]
    for start in range(0, len(keys), 50):
        await asyncio.gather(*(cloud.put(name, key) for key in keys[start : start + 50]))
    first = await BucketLister({}).page(asked(cloud, name))
    assert (first.keys, first.last) == (tuple(keys[:1000]), False)
    second = await BucketLister({}).page(asked(cloud, name, after=first.end))
    assert (second.keys, second.last) == (("in/1000.pdf",), True)
    cursors = ("start-after=in/0999.pdf", "startFrom=in/0999.pdf")

    def begun_after() -> list[bool]:
        lists = [request for request in map(unquote, cloud.requests) if f"/{name}?" in request and "prefix=" in request]
        return [any(cursor in request for cursor in cursors) for request in lists]

    # What a server was asked stands in its log a moment after it has answered.
    async with asyncio.timeout(60):
        while not any(begun_after()):
            await asyncio.sleep(0.05)
    assert begun_after() == [False, True]


async def test_a_missing_bucket_is_named(cloud: Cloud) -> None:
    error = await refusal(asked(cloud, "nowhere"))
    kind = "container" if cloud.scheme == "az" else "bucket"
    assert f"{cloud.endpoint} has no {kind} nowhere" in str(error)
    assert error.answered


async def test_an_endpoint_that_does_not_answer_is_named(cloud: Cloud) -> None:
    endpoint = {"gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}[cloud.scheme]
    known = credentials(cloud, **{endpoint: "http://127.0.0.1:1"})
    error = await refusal(asked(cloud, "bucket", known=known))
    assert "http://127.0.0.1:1 cannot be reached" in str(error)
    assert not error.answered


@pytest.mark.parametrize("forged", [True, False], ids=["another key", "another account"])
async def test_a_service_account_that_google_does_not_know_is_not_accepted(google: GoogleStorage, forged: bool) -> None:
    other = google.service_account(email="" if forged else "other@project", forged=forged)
    known = GoogleCredentials(other, "", google.endpoint)
    error = await refusal(asked(google, await google.bucket(), known=known))
    assert "does not accept the credentials of spec.input.credentialsSecretRef (AuthenticationRequired)" in str(error)


async def test_another_key_of_an_account_is_not_accepted(azure: Azurite) -> None:
    known = AzureCredentials(azure.account, key="b3RoZXI=", endpoint_url=azure.endpoint)
    error = await refusal(asked(azure, await azure.bucket(), known=known))
    assert "let the credentials of spec.input.credentialsSecretRef list container" in str(error)


async def test_a_signature_gives_the_access_that_it_says(azure: Azurite) -> None:
    name = await azure.bucket()
    await azure.put(name, "in/a.pdf")
    known = AzureCredentials(azure.account, sas=azure.sas("rl"), endpoint_url=azure.endpoint)
    assert (await BucketLister({}).page(asked(azure, name, known=known))).keys == ("in/a.pdf",)
    with pytest.raises(ObjectsError, match="Storage Blob Data Contributor") as caught:
        await BucketObjects({}).write(bucket(azure, name, known), "in/b.pdf", whole(b"x"))
    assert caught.value.refusal is Refusal.DENIED


async def test_a_jobs_own_credentials_are_not_mixed_with_the_operators(
    google: GoogleStorage, azure: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(google.service_account(forged=True))
    environ = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(wrong),
        "GOOGLE_BASE_URL": "http://127.0.0.1:1",
        "AZURE_STORAGE_ACCOUNT_NAME": "operators",
        "AZURE_STORAGE_ACCOUNT_KEY": "b3BlcmF0b3Jz",
        "AZURE_STORAGE_TOKEN": "operators",
        "AZURE_STORAGE_SAS_TOKEN": "sig=operators",
        "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1",
    }
    requests = []
    for cloud in (google, azure):
        name = await cloud.bucket()
        await cloud.put(name, "in/a.pdf")
        requests.append(asked(cloud, name))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for request in requests:
        assert (await BucketLister(environ).page(request)).keys == ("in/a.pdf",)


@pytest.mark.parametrize("name", ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN"])
async def test_what_would_be_mixed_into_a_jobs_own_is_refused(google: GoogleStorage, name: str) -> None:
    with pytest.raises(ListingError, match=f"The operator's environment has {name}"):
        await BucketLister({name: "x"}).page(asked(google, "bucket"))


async def test_without_a_secret_the_operators_environment_is_used(
    google: GoogleStorage, azure: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text(google.service_account())
    environ = {
        "GOOGLE_SERVICE_ACCOUNT": str(key),
        "GOOGLE_BASE_URL": google.endpoint,
        **azure.secret,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for cloud in (google, azure):
        name = await cloud.bucket()
        await cloud.put(name, "in/a.pdf")
        request = ListRequest(asked(cloud, name).prefix)
        assert (await BucketLister(environ).page(request)).keys == ("in/a.pdf",)


async def test_no_account_is_said(azure: Azurite) -> None:
    with pytest.raises(ListingError, match="Nothing says which storage account has the container bucket"):
        await BucketLister({}).page(ListRequest(asked(azure, "bucket").prefix))


def marie(s3: S3Server, name: str = "marie") -> Bucket:
    return Bucket(name, Credentials(s3.access_key, s3.secret_key, endpoint_url=s3.endpoint))


@pytest.mark.parametrize("content", [b"%PDF \xff", LARGE], ids=["small", "in parts"])
async def test_objects_are_copied_from_a_cloud_and_into_it(cloud: Cloud, s3: S3Server, content: bytes) -> None:
    name, objects = await cloud.bucket(), BucketObjects({})
    await cloud.put(name, "in/ü #1.pdf", content)
    await objects.copy(bucket(cloud, name), "in/ü #1.pdf", marie(s3), f"staged/{name}/1.pdf")
    assert s3.objects("marie")[f"staged/{name}/1.pdf"] == content
    await objects.copy(marie(s3), f"staged/{name}/1.pdf", bucket(cloud, name), "out/ü #2.pdf")
    assert (await cloud.objects(name))["out/ü #2.pdf"] == content


async def test_a_folder_is_listed_and_emptied(cloud: Cloud) -> None:
    name, objects = await cloud.bucket(), BucketObjects({})
    place = bucket(cloud, name)
    for key in ("f/1", "f/2", "f/sub/3", "f2/4"):
        await objects.write(place, key, whole(b"x"))
    assert await objects.keys(place, "f", "f/1") == ["f/2", "f/sub/3"]
    await objects.delete(place, await objects.keys(place, "f"))
    await objects.delete(place, ["f/1"])
    assert list(await cloud.objects(name)) == ["f2/4"]


async def test_an_object_that_is_not_there_is_told_apart_from_a_bucket_that_is_not(cloud: Cloud) -> None:
    name = await cloud.bucket()
    for where, refused in ((name, Refusal.NO_OBJECT), ("nowhere", Refusal.NO_BUCKET)):
        with pytest.raises(ObjectsError) as caught:
            _ = [piece async for piece in BucketObjects({}).read(bucket(cloud, where), "in/none.pdf")]
        assert caught.value.refusal is refused, str(caught.value)
        assert where in str(caught.value)
