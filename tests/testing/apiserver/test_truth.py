"""The facts of the built-in kinds, and what is told of them, against a real API server."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from marie_operator.testing.apiserver import discovery, openapi, protobuf, table
from marie_operator.testing.apiserver.builtin import BuiltinKind, builtin
from marie_operator.testing.apiserver.discovery import Kind
from marie_operator.testing.controlplane import ControlPlane, locate_binaries
from tests.testing.apiserver.custom import NODE, Custom

pytestmark = [pytest.mark.controlplane, pytest.mark.asyncio(loop_scope="module")]

REPOSITORY = Path(__file__).parents[3]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
KETTLE = Custom(columns=({"name": "Litres", "type": "integer", "jsonPath": ".spec.litres", "priority": 1},))
KINDS: tuple[Kind, ...] = (*builtin(), KETTLE)
GROUP_VERSIONS = sorted({(each.group, each.version) for each in KINDS})
SERVED = {(each.group, each.version, each.plural) for each in KINDS}

CRD = {
    "metadata": {"name": "kettles.kitchen.example.com"},
    "spec": {
        "group": KETTLE.group,
        "scope": "Namespaced",
        "names": {"plural": "kettles", "kind": "Kettle", "shortNames": ["kt"], "categories": ["all"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": NODE},
                "additionalPrinterColumns": KETTLE.columns,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.litres", "statusReplicasPath": ".status.litres"},
                },
            }
        ],
    },
}


class Get:
    """A GET of the real server, on which the kettle is defined."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.warning = ""

    async def raw(self, path: str, accept: str) -> bytes:
        """The body as it comes."""
        async with self._session.get(path, headers={"Accept": accept}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def __call__(self, path: str, accept: str = "application/json") -> Any:
        async with self._session.get(path, headers={"Accept": accept}) as answer:
            assert answer.status == 200, await answer.text()
            self.warning = answer.headers.get("Warning", "")
            return await answer.json(content_type=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def get(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Get]:
    folder = tmp_path_factory.mktemp("truth")
    plane = ControlPlane(locate_binaries(REPOSITORY), folder, controllers=False)
    async with plane:
        tls = ssl.create_default_context(cafile=str(folder / "pki" / "apiserver.crt"))
        token = json.loads(plane.kubeconfig().read_text())["users"][0]["user"]["token"]
        connector = aiohttp.TCPConnector(ssl=tls)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(plane.url, connector=connector, headers=headers) as session:
            crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            async with session.post(crds, json=CRD) as answer:
                assert answer.status == 201, await answer.text()

            get = Get(session)
            async with asyncio.timeout(120):
                while "apis/kitchen.example.com/v1" not in (await get("/openapi/v3"))["paths"]:
                    await asyncio.sleep(0.1)
                while "com.example.kitchen.v1.Kettle" not in (await get("/openapi/v2"))["definitions"]:
                    await asyncio.sleep(0.1)
                while "kitchen.example.com" not in str(await get("/apis", discovery.AGGREGATED)):
                    await asyncio.sleep(0.1)
                # A kind that is new, or has just changed, is not served at once.
                while (await session.get("/apis/kitchen.example.com/v1/kettles")).status != 200:
                    await asyncio.sleep(0.1)
            yield get


def ours(path: str, accept: str = "application/json") -> Any:
    found = discovery.document(KINDS, path, accept) or openapi.document(KINDS, path, accept)
    assert found is not None
    return json.loads(found.body)


def root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
async def test_resources_are_the_real_ones(get: Get, group: str, version: str) -> None:
    real = await get(root(group, version))
    for each in real["resources"]:
        each.pop("storageVersionHash", None)
        each["verbs"].sort()
    real["resources"] = [
        each for each in real["resources"] if (group, version, each["name"].partition("/")[0]) in SERVED
    ]
    assert ours(root(group, version)) == real


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_aggregated_discovery_is_the_real_one(get: Get, path: str) -> None:
    real = await get(path, discovery.AGGREGATED)
    for item in real["items"]:
        group = item["metadata"].get("name", "")
        item["versions"] = [each for each in item["versions"] if (group, each["version"]) in GROUP_VERSIONS]
        for version in item["versions"]:
            version["resources"] = [
                each | {"verbs": sorted(each["verbs"])}
                for each in version["resources"]
                if (group, version["version"], each["resource"]) in SERVED
            ]
    real["items"] = [each for each in real["items"] if each["versions"]]
    assert ours(path, discovery.AGGREGATED) == real


def facts(node: Any) -> Any:
    """A schema without sentences and without what the server alone tells."""
    if isinstance(node, list):
        return [facts(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {
        name: facts(value)
        for name, value in node.items()
        if not (name == "description" and isinstance(value, str)) and not (name == "enum" and isinstance(value, list))
    }
    if set(found) == {"allOf"} and len(found["allOf"]) == 1:
        return found["allOf"][0]
    return found


def comparable(schemas: Any) -> Any:
    """Schemas by name, without lists, and without the groups that those of all groups are said to be of."""
    found = {name: facts(schema) for name, schema in schemas.items() if not name.endswith("List")}
    for name, schema in found.items():
        if ".meta.v1." in name:
            schema.pop("x-kubernetes-group-version-kind", None)
    return found


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
async def test_schemas_are_the_real_ones(get: Get, group: str, version: str) -> None:
    path = "/openapi/v3" + root(group, version)
    real = comparable((await get(path))["components"]["schemas"])
    told = comparable(ours(path)["components"]["schemas"])
    # Each of our documents has what is common to all kinds, needed or not.
    assert all(name.startswith("io.k8s.apimachinery.pkg.") for name in told.keys() - real.keys())
    assert {name: told[name] for name in told.keys() & real.keys()} == {
        name: real[name] for name in told.keys() & real.keys()
    }
    roots = {openapi.definition_name(each.group, each.version, each.kind) for each in KINDS}
    assert roots & real.keys() <= told.keys()


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
async def test_operations_are_the_real_ones(get: Get, group: str, version: str) -> None:
    path = "/openapi/v3" + root(group, version)
    real = (await get(path))["paths"]
    for place, item in ours(path)["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            there = real[place][method]
            for part in ("operationId", "x-kubernetes-action", "x-kubernetes-group-version-kind"):
                assert (part, operation.get(part)) == (part, there.get(part))
            if method == "patch" and operation["x-kubernetes-action"] == "patch":
                assert operation["requestBody"]["content"].keys() == there["requestBody"]["content"].keys()
                assert {each["name"] for each in operation["parameters"]} == {
                    each["name"] for each in there["parameters"]
                }


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "kind",
    [each for each in builtin() if "get" in each.verbs and each.group != "apiextensions.k8s.io"],
    ids=lambda each: each.kind,
)
async def test_objects_are_the_same_in_protobuf(get: Get, kind: BuiltinKind) -> None:
    for each in (await get(f"{root(kind.group, kind.version)}/{kind.plural}"))["items"]:
        meta = each["metadata"]
        scope = f"namespaces/{meta['namespace']}/" if kind.namespaced else ""
        path = f"{root(kind.group, kind.version)}/{scope}{kind.plural}/{meta['name']}"
        before, encoded, after = await get(path), await get.raw(path, protobuf.MEDIA_TYPE), await get(path)
        assert protobuf.decoded(encoded) in (without_nulls(before), without_nulls(after))


async def test_schemas_of_version_2_are_the_real_ones(get: Get) -> None:
    real = comparable((await get("/openapi/v2"))["definitions"])
    told = comparable(ours("/openapi/v2")["definitions"])
    assert told == {name: real[name] for name in told}


@pytest.mark.parametrize("kind", [each for each in builtin() if "list" in each.verbs], ids=lambda each: each.kind)
async def test_deprecations_are_the_real_ones(get: Get, kind: BuiltinKind) -> None:
    await get(f"{root(kind.group, kind.version)}/{kind.plural}")
    assert get.warning == (f'299 - "{kind.deprecated}"' if kind.deprecated else "")


@pytest.mark.parametrize("kind", [each for each in KINDS if "list" in each.verbs], ids=lambda each: each.kind)
async def test_columns_are_the_real_ones(get: Get, kind: Kind) -> None:
    real = await get(f"{root(kind.group, kind.version)}/{kind.plural}", TABLE)
    told = table.table(kind, [], now=datetime.now(UTC))
    assert columns(told) == columns(real)


def columns(found: Any) -> Any:
    return [each | {"description": ""} for each in found["columnDefinitions"]]
