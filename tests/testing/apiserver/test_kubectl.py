"""kubectl against the documents and tables, served as they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from marie_operator.testing.apiserver import discovery, openapi, protobuf, table
from marie_operator.testing.apiserver.builtin import builtin
from marie_operator.testing.apiserver.discovery import Kind
from marie_operator.testing.apiserver.requests import target
from marie_operator.testing.controlplane import locate_binaries
from tests.testing.apiserver.custom import Custom

pytestmark = pytest.mark.controlplane

REPOSITORY = Path(__file__).parents[3]
KINDS: tuple[Kind, ...] = (
    *builtin(),
    Custom(columns=({"name": "Litres", "type": "integer", "jsonPath": ".spec.litres"},)),
)
Kubectl = Callable[..., Awaitable[str]]


def pod_spec(image: str) -> dict[str, Any]:
    return {"containers": [{"name": "web", "image": image}, {"name": "log", "image": "log:1"}]}


def deployment(image: str) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(image)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


class Server:
    """Answers with documents and with objects that never change; notes what is sent."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.sent: list[tuple[str, str, dict[str, str], Any]] = []

    def keep(self, path: str, obj: dict[str, Any]) -> None:
        """Answer with an object from now on."""
        created = {"creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u", "resourceVersion": "1"}
        self.objects[path] = obj | {"metadata": {**created, **obj["metadata"]}}

    async def serve(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        for documents in (discovery, openapi):
            found = documents.document(KINDS, request.path.rstrip("/"), accept)
            if found is not None:
                headers = {"Content-Type": found.content_type, **({"ETag": f'"{found.etag}"'} if found.etag else {})}
                return web.Response(body=found.body, headers=headers)
        if request.method != "GET":
            content = await request.read()
            body = protobuf.decoded(content) if request.content_type == protobuf.MEDIA_TYPE else json.loads(content)
            self.sent.append((request.method, request.content_type, dict(request.query), body))
            answer = body if request.method == "POST" else self.objects[request.path]
            return web.json_response(answer, status=201 if request.method == "POST" else 200)
        return self.resource(request.path, as_table="as=Table" in accept)

    def resource(self, path: str, *, as_table: bool) -> web.Response:
        about = target(path)
        found = [each for kept, each in self.objects.items() if kept == path or (kept.rpartition("/")[0] == path)]
        kind = next(
            (each for each in KINDS if about and each.plural == about.plural and each.group == about.group), None
        )
        if kind is None or about is None or (about.name and not found):
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            return web.json_response(status | {"message": "not found"}, status=404)
        if as_table:
            return web.json_response(table.table(kind, found, now=datetime(2026, 1, 1, 0, 5, 30, tzinfo=UTC)))
        if about.name:
            return web.json_response(found[0])
        return web.json_response({"kind": kind.list_kind, "apiVersion": "v1", "metadata": {}, "items": found})


@pytest_asyncio.fixture
async def server() -> Server:
    return Server()


@pytest_asyncio.fixture
async def kubectl(server: Server, tmp_path: Path) -> AsyncIterator[Kubectl]:
    binary = locate_binaries(REPOSITORY) / "kubectl"
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]

    async def run(*arguments: str, stdin: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            binary,
            f"--server=http://{host}:{port}",
            "--kubeconfig=/dev/null",
            f"--cache-dir={tmp_path}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(stdin.encode())
        assert process.returncode == 0, output.decode()
        return output.decode()

    yield run
    await runner.cleanup()


def lines(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


async def test_all_resources_are_listed(kubectl: Kubectl) -> None:
    told = lines(await kubectl("api-resources", "--no-headers"))
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in told
    assert ["kettles", "kt", "kitchen.example.com/v1", "true", "Kettle"] in told
    assert len(told) == len({(each.group, each.plural) for each in KINDS})
    assert "autoscaling/v1" in (await kubectl("api-versions")).split()


async def test_the_server_has_a_version(kubectl: Kubectl) -> None:
    assert "Server Version: v1.36.2" in await kubectl("version")


async def test_fields_are_explained(kubectl: Kubectl) -> None:
    told = await kubectl("explain", "deployments.spec.template.spec.containers.ports")
    assert "VERSION:    v1" in told
    assert ["containerPort", "<integer>", "-required-"] in lines(told)
    told = await kubectl("explain", "kettles.spec")
    assert "What it should do." in told
    assert ["litres", "<integer>", "-required-"] in lines(told)
    assert "How much." in told
    recursive = await kubectl("explain", "pods", "--recursive")
    assert ["nodeSelectorTerms", "<[]NodeSelectorTerm>", "-required-"] in lines(recursive)


async def test_tables_are_printed(server: Server, kubectl: Kubectl) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    server.keep(path, deployment("web:1") | {"status": {"readyReplicas": 1, "updatedReplicas": 1}})
    kettle = {
        "apiVersion": "kitchen.example.com/v1",
        "kind": "Kettle",
        "metadata": {"name": "a"},
        "spec": {"litres": 2},
    }
    server.keep("/apis/kitchen.example.com/v1/namespaces/default/kettles/a", kettle)
    assert lines(await kubectl("get", "deploy")) == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        ["web", "1/1", "1", "0", "5m30s"],
    ]
    wide = lines(await kubectl("get", "deployment/web", "-o", "wide"))
    assert wide[0][5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1][5:] == ["web,log", "web:1,log:1", "app=web"]
    assert lines(await kubectl("get", "kt", "a")) == [["NAME", "LITRES"], ["a", "2"]]
    everything = await kubectl("get", "all")
    assert "deployment.apps/web" in everything
    assert "kettle.kitchen.example.com/a" in everything


async def test_a_create_asks_the_server_to_validate_strictly(server: Server, kubectl: Kubectl) -> None:
    for obj in (
        deployment("web:1"),
        {"apiVersion": "kitchen.example.com/v1", "kind": "Kettle", "metadata": {"name": "a"}},
    ):
        await kubectl("create", "--validate=strict", "-f", "-", stdin=json.dumps(obj))
        method, _, query, _ = server.sent[-1]
        assert (method, query["fieldValidation"]) == ("POST", "Strict")
    await kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(deployment("web:1")))
    assert server.sent[-1][2]["dryRun"] == "All"


async def test_an_apply_merges_lists_by_their_keys(server: Server, kubectl: Kubectl) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    before = deployment("web:1")
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(before)}
    server.keep(path, before | {"metadata": before["metadata"] | {"annotations": annotation}})
    await kubectl("apply", "-f", "-", stdin=json.dumps(deployment("web:2")))
    method, content_type, query, patch = server.sent[-1]
    assert (method, content_type) == ("PATCH", "application/strategic-merge-patch+json")
    assert query["fieldValidation"] == "Strict"
    assert patch["spec"] == {
        "template": {
            "spec": {
                "$setElementOrder/containers": [{"name": "web"}, {"name": "log"}],
                "containers": [{"image": "web:2", "name": "web"}],
            }
        }
    }


async def test_an_apply_of_a_kind_from_a_crd_merges_json(server: Server, kubectl: Kubectl) -> None:
    before = {
        "apiVersion": "kitchen.example.com/v1",
        "kind": "Kettle",
        "metadata": {"name": "a"},
        "spec": {"litres": 1},
    }
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(before)}
    path = "/apis/kitchen.example.com/v1/namespaces/default/kettles/a"
    server.keep(path, before | {"metadata": {"name": "a", "namespace": "default", "annotations": annotation}})
    await kubectl("apply", "-f", "-", stdin=json.dumps(before | {"spec": {"litres": 2}}))
    _, content_type, _, patch = server.sent[-1]
    assert (content_type, patch["spec"]) == ("application/merge-patch+json", {"litres": 2})


async def test_a_diff_and_a_server_side_apply_are_dry_runs_and_patches(server: Server, kubectl: Kubectl) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    server.keep(path, deployment("web:1"))
    await kubectl("diff", "--server-side", "-f", "-", stdin=json.dumps(deployment("web:1")))
    assert server.sent[-1][1:3] == (
        "application/apply-patch+yaml",
        {"dryRun": "All", "fieldManager": "kubectl", "force": "false"},
    )
    await kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(deployment("web:1")))
    assert "dryRun" not in server.sent[-1][2]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "arguments",
    [
        "deployment web --image=web:1 --replicas=0 --port=80",
        "configmap settings --from-literal=a=b",
        "secret generic key --from-literal=a=b",
        "namespace here",
        "serviceaccount runner",
        "role reader --verb=get,list --resource=pods",
        "rolebinding readers --role=reader --user=me --serviceaccount=default:runner",
        "job work --image=work:1 -- run it",
        "cronjob nightly --image=work:1 --schedule=0\xa03\xa0*\xa0*\xa0*",
        "service clusterip web --tcp=80:http",
        "ingress web --rule=a.example/*=web:80,tls=cert",
        "poddisruptionbudget web --selector=app=web --min-available=50%",
        "priorityclass high --value=-5 --global-default=false",
        "quota bound --hard=cpu=1,pods=2",
    ],
)
async def test_what_kubectl_makes_itself_arrives_as_it_prints_it(
    server: Server, kubectl: Kubectl, arguments: str
) -> None:
    words = [word.replace("\xa0", " ") for word in arguments.split(" ")]
    # What comes after a double dash is no option.
    place = words.index("--") if "--" in words else len(words)
    await kubectl("create", *words)
    printed = await kubectl("create", *words[:place], "--dry-run=client", "-o", "json", *words[place:])
    _, content_type, _, body = server.sent[-1]
    assert content_type == protobuf.MEDIA_TYPE
    wanted = without_nulls(json.loads(printed))
    sent = body | {"metadata": {name: each for name, each in body["metadata"].items() if name != "namespace"}}
    wanted["metadata"].pop("namespace", None)
    assert without_nulls(sent) == wanted
