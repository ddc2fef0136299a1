"""kubectl, as users call it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conformance.conftest import Server
from tests.conformance.samples import config_map, deployment, job, pod, service, widget
from tests.conformance.wire import Client, Namespace, assert_includes

Kubectl = Callable[..., Awaitable[tuple[int, str, str]]]


async def ok(kubectl: Kubectl, *arguments: str, stdin: Any = "") -> str:
    """What a command prints, given that it succeeds."""
    text = stdin if isinstance(stdin, str) else json.dumps(stdin)
    code, output, errors = await kubectl(*arguments, stdin=text)
    assert code == 0, errors or output
    return output


class TestApply:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (config_map("a", data={"k": "v"}), "configmap/a"),
            (deployment("a"), "deployment.apps/a"),
            (service("a"), "service/a"),
            (pod("a"), "pod/a"),
            (job("a"), "job.batch/a"),
            (widget("a", size=2), "widget.conformance.example/a"),
        ],
        ids=["configmap", "deployment", "service", "pod", "job", "widget"],
    )
    @pytest.mark.parametrize("side", ["client", "server"])
    async def test_twice(self, kubectl: Kubectl, widgets: str, side: str, body: dict[str, Any], named: str) -> None:
        options = ["--server-side"] if side == "server" else []
        done = "serverside-applied" if side == "server" else "created"
        assert await ok(kubectl, "apply", *options, "-f", "-", stdin=body) == f"{named} {done}\n"
        again = "serverside-applied" if side == "server" else "unchanged"
        assert await ok(kubectl, "apply", *options, "-f", "-", stdin=body) == f"{named} {again}\n"

    async def test_a_change(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        body = deployment("a", replicas=2)
        env = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
        body["spec"]["template"]["spec"]["containers"][0]["env"] = env
        await ok(kubectl, "apply", "-f", "-", stdin=body)
        (await api.patch(ns("apps/v1/deployments", "a"), {"spec": {"paused": True}})).ok()
        body["spec"]["template"]["spec"]["containers"][0]["env"] = env[1:]
        body["spec"].pop("replicas")
        assert await ok(kubectl, "apply", "-f", "-", stdin=body) == "deployment.apps/a configured\n"
        found = (await api.get(ns("apps/v1/deployments", "a"))).ok()
        # What was applied and is no longer is removed; what others set stays.
        assert_includes(found["spec"], {"replicas": 1, "paused": True})
        assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "Y", "value": "2"}]

    async def test_a_custom_change(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=widget("a", size=2, color="red"))
        output = await ok(kubectl, "apply", "-f", "-", stdin=widget("a", size=3))
        assert output == "widget.conformance.example/a configured\n"
        assert (await api.get(ns(widgets, "a"))).ok()["spec"] == {"size": 3}

    async def test_a_conflict(self, kubectl: Kubectl) -> None:
        await ok(kubectl, "apply", "--server-side", "-f", "-", stdin=config_map("a", data={"k": "v"}))
        other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
        body = json.dumps(config_map("a", data={"k": "w"}))
        code, _, errors = await kubectl(*other, stdin=body)
        assert code == 1
        assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.k' in errors
        await ok(kubectl, *other, "--force-conflicts", stdin=body)

    async def test_an_unknown_field(self, kubectl: Kubectl) -> None:
        code, _, errors = await kubectl("apply", "-f", "-", stdin=json.dumps(config_map("a", foo=1)))
        assert code == 1
        assert 'strict decoding error: unknown field "foo"' in errors
        output = await kubectl("apply", "--validate=warn", "-f", "-", stdin=json.dumps(config_map("a", foo=1)))
        assert output == (0, "configmap/a created\n", 'Warning: unknown field "foo"\n')

    async def test_an_invalid_object(self, kubectl: Kubectl, widgets: str) -> None:
        code, _, errors = await kubectl("apply", "-f", "-", stdin=json.dumps(widget("a", size=900)))
        assert code == 1
        why = "spec.size: Invalid value: 900: spec.size in body should be less than or equal to 100"
        assert f'The Widget "a" is invalid: {why}' in errors

    async def test_several_objects(self, kubectl: Kubectl) -> None:
        both = {"apiVersion": "v1", "kind": "List", "items": [config_map("a"), service("b")]}
        assert await ok(kubectl, "apply", "-f", "-", stdin=both) == "configmap/a created\nservice/b created\n"

    async def test_pruning_by_server(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        await ok(kubectl, "apply", "--server-side", "-f", "-", stdin=config_map("a", data={"k": "v", "l": "w"}))
        await ok(kubectl, "apply", "--server-side", "-f", "-", stdin=config_map("a", data={"k": "v"}))
        assert (await api.get(ns("configmaps", "a"))).ok()["data"] == {"k": "v"}

    async def test_from_client_to_server_side(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=config_map("a", data={"k": "v", "l": "w"}))
        await ok(kubectl, "apply", "--server-side", "-f", "-", stdin=config_map("a", data={"k": "x"}))
        assert (await api.get(ns("configmaps", "a"))).ok()["data"] == {"k": "x"}

    @pytest.mark.parametrize("side", ["client", "server"])
    async def test_diff(self, kubectl: Kubectl, widgets: str, side: str) -> None:
        options = ["--server-side"] if side == "server" else []
        await ok(kubectl, "apply", *options, "-f", "-", stdin=widget("a", size=2))
        assert await ok(kubectl, "diff", *options, "-f", "-", stdin=widget("a", size=2)) == ""
        code, output, _ = await kubectl("diff", *options, "-f", "-", stdin=json.dumps(widget("a", size=3)))
        assert code == 1
        assert "-  size: 2\n" in output
        assert "+  size: 3\n" in output


class TestCreate:
    async def test_and_again(self, kubectl: Kubectl) -> None:
        assert await ok(kubectl, "create", "configmap", "a", "--from-literal=k=v") == "configmap/a created\n"
        code, _, errors = await kubectl("create", "configmap", "a")
        assert code == 1
        assert errors == 'error: failed to create configmap: configmaps "a" already exists\n'

    async def test_dry_run(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        output = await ok(kubectl, "create", "--dry-run=server", "-f", "-", stdin=deployment("a"))
        assert output == "deployment.apps/a created (server dry run)\n"
        assert (await api.get(ns("apps/v1/deployments", "a"))).status == 404

    async def test_shorthands(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        await ok(kubectl, "create", "deployment", "web", "--image=nginx:1", "--replicas=2")
        await ok(kubectl, "expose", "deployment", "web", "--port=80")
        await ok(kubectl, "create", "secret", "generic", "s", "--from-literal=k=v")
        await ok(kubectl, "create", "job", "j", "--image=x")
        await ok(kubectl, "run", "p", "--image=x")
        assert (await api.get(ns("services", "web"))).ok()["spec"]["selector"] == {"app": "web"}

    async def test_other_shorthands(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        await ok(kubectl, "create", "deployment", "web", "--image=nginx:1")
        output = await ok(kubectl, "autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=80%")
        assert output == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
        await ok(kubectl, "create", "ingress", "i", "--class=nginx", "--rule=example.com/*=web:80")
        await ok(kubectl, "create", "poddisruptionbudget", "b", "--selector=app=web", "--min-available=1")
        await ok(kubectl, "create", "cronjob", "c", "--image=x", "--schedule=0 * * * *")
        await ok(kubectl, "create", "role", "r", "--verb=get", "--resource=pods")
        await ok(kubectl, "create", "serviceaccount", "robot")
        await ok(kubectl, "create", "rolebinding", "rb", "--role=r", f"--serviceaccount={ns.name}:robot")
        await ok(kubectl, "create", "quota", "q", "--hard=pods=9")
        await ok(kubectl, "create", "job", "j", "--from=cronjob/c")
        found = (await api.get(ns("autoscaling/v2/horizontalpodautoscalers", "web"))).ok()["spec"]
        assert (found["minReplicas"], found["maxReplicas"]) == (2, 5)
        assert "SCHEDULE" in await ok(kubectl, "get", "cronjobs,hpa,ingresses,pdb,jobs,roles,quota")

    async def test_a_generated_name(self, kubectl: Kubectl) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "some-"}}
        assert re.fullmatch(r"configmap/some-\w{5} created\n", await ok(kubectl, "create", "-f", "-", stdin=body))

    async def test_replace(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        await ok(kubectl, "create", "configmap", "a", "--from-literal=k=v")
        body = config_map("a", data={"k": "w"})
        assert await ok(kubectl, "replace", "-f", "-", stdin=body) == "configmap/a replaced\n"
        assert (await api.get(ns("configmaps", "a"))).ok()["data"] == {"k": "w"}
        before = (await api.get(ns("configmaps", "a"))).ok()["metadata"]["uid"]
        await ok(kubectl, "replace", "--force", "-f", "-", stdin=body)
        assert (await api.get(ns("configmaps", "a"))).ok()["metadata"]["uid"] != before


class TestGet:
    async def test_tables(self, kubectl: Kubectl, widgets: str) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=widget("a", size=3, color="red", note="hey"))
        headings, row = (await ok(kubectl, "get", "widgets")).splitlines()
        assert headings.split() == ["NAME", "SIZE", "COLOR", "AGE"]
        assert row.split()[:3] == ["a", "3", "red"]
        headings, row = (await ok(kubectl, "get", "wd", "-o", "wide")).splitlines()
        assert headings.split() == ["NAME", "SIZE", "COLOR", "NOTE", "AGE"]
        assert (await ok(kubectl, "get", "conforming", "--no-headers")).split()[:3] == ["a", "3", "red"]

    async def test_other_forms(self, kubectl: Kubectl, widgets: str) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=widget("a", size=3))
        assert await ok(kubectl, "get", "widget", "a", "-o", "name") == "widget.conformance.example/a\n"
        assert await ok(kubectl, "get", "widget", "a", "-o", "jsonpath={.spec.size}") == "3"
        assert "size: 3" in await ok(kubectl, "get", "widget", "a", "-o", "yaml")
        assert json.loads(await ok(kubectl, "get", "widgets", "-o", "json"))["items"][0]["spec"]["size"] == 3
        columns = "custom-columns=N:.metadata.name"
        assert (await ok(kubectl, "get", "widgets", "-o", columns)).split() == ["N", "a"]

    async def test_selected(self, kubectl: Kubectl) -> None:
        for name in "abc":
            await ok(kubectl, "create", "configmap", name)
        await ok(kubectl, "label", "configmap", "a", "b", "x=y")
        assert (await ok(kubectl, "get", "cm", "-l", "x=y", "-o", "name")).split() == ["configmap/a", "configmap/b"]
        selected = await ok(kubectl, "get", "cm", "--field-selector=metadata.name=c", "-o", "name")
        assert selected.split() == ["configmap/c"]

    async def test_in_pieces(self, kubectl: Kubectl) -> None:
        for name in "abc":
            await ok(kubectl, "create", "configmap", name)
        assert (await ok(kubectl, "get", "cm", "--chunk-size=1", "-o", "name")).count("configmap/") == 3

    async def test_several_kinds(self, kubectl: Kubectl) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=deployment("a"))
        await ok(kubectl, "apply", "-f", "-", stdin=service("a"))
        output = await ok(kubectl, "get", "all")
        assert "deployment.apps/a" in output
        assert "service/a" in output

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            (("cm", "x"), 'Error from server (NotFound): configmaps "x" not found\n'),
            (("widget", "x"), 'Error from server (NotFound): widgets.conformance.example "x" not found\n'),
            (("nope",), 'error: the server doesn\'t have a resource type "nope"\n'),
            (
                ("cm", "--field-selector=data.x=y"),
                'Error from server (BadRequest): Unable to find "/v1, Resource=configmaps" that match label selector '
                '"", field selector "data.x=y": "data.x" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"\n',
            ),
        ],
    )
    async def test_errors(self, kubectl: Kubectl, widgets: str, what: tuple[str, ...], message: str) -> None:
        code, _, errors = await kubectl("get", *what)
        assert code == 1
        assert errors == message

    async def test_nothing(self, kubectl: Kubectl, ns: Namespace) -> None:
        assert await kubectl("get", "secrets") == (0, "", f"No resources found in {ns.name} namespace.\n")

    async def test_watching(self, server: Server, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=1))).ok(201)
        process = await asyncio.create_subprocess_exec(
            server.binaries / "kubectl",
            f"--kubeconfig={server.kubeconfigs['admin']}",
            f"--cache-dir={server.directory}/kubectl",
            f"--namespace={ns.name}",
            *("get", "widgets", "--watch", "--no-headers"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            assert (await process.stdout.readline()).split()[:2] == [b"a", b"1"]
            (await api.patch(ns(widgets, "a"), {"spec": {"size": 2}})).ok()
            assert (await process.stdout.readline()).split()[:2] == [b"a", b"2"]
            (await api.post(ns(widgets), widget("b", size=3))).ok(201)
            assert (await process.stdout.readline()).split()[:2] == [b"b", b"3"]
        finally:
            process.kill()
            await process.communicate()


class TestChange:
    @pytest.mark.parametrize(
        ("kind", "patch"),
        [
            ("merge", '{"data": {"k": "w"}}'),
            ("json", '[{"op": "replace", "path": "/data/k", "value": "w"}]'),
            ("strategic", '{"data": {"k": "w"}}'),
        ],
    )
    async def test_patch(self, kubectl: Kubectl, kind: str, patch: str) -> None:
        await ok(kubectl, "create", "configmap", "a", "--from-literal=k=v")
        assert await ok(kubectl, "patch", "cm", "a", f"--type={kind}", "-p", patch) == "configmap/a patched\n"
        output = await ok(kubectl, "patch", "cm", "a", f"--type={kind}", "-p", patch)
        assert output == "configmap/a patched (no change)\n"

    async def test_patch_of_a_subresource(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        patch = '{"status": {"phase": "Done"}}'
        await ok(kubectl, "patch", "widget", "a", "--subresource=status", "--type=merge", "-p", patch)
        assert (await api.get(ns(widgets, "a"))).ok()["status"] == {"phase": "Done"}

    async def test_label_and_annotate(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        assert await ok(kubectl, "label", "widget", "a", "x=y") == "widget.conformance.example/a labeled\n"
        code, _, errors = await kubectl("label", "widget", "a", "x=z")
        assert (code, "already has a value (y), and --overwrite is false" in errors) == (1, True)
        await ok(kubectl, "label", "widget", "a", "x=z", "--overwrite")
        await ok(kubectl, "annotate", "widget", "a", "a/b=some text")
        metadata = (await api.get(ns(widgets, "a"))).ok()["metadata"]
        assert_includes(metadata, {"labels": {"x": "z"}, "annotations": {"a/b": "some text"}})
        assert await ok(kubectl, "label", "widget", "a", "x-") == "widget.conformance.example/a unlabeled\n"

    async def test_edit(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=3))).ok(201)
        edited = await kubectl("edit", "widget", "a", editor='sed -i "s/size: 3/size: 4/"')
        assert edited == (0, "widget.conformance.example/a edited\n", "")
        assert (await api.get(ns(widgets, "a"))).ok()["spec"]["size"] == 4
        assert await kubectl("edit", "widget", "a", editor="true") == (0, "", "Edit cancelled, no changes made.\n")

    async def test_edit_of_a_built_in_object(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a", replicas=1))).ok(201)
        edited = await kubectl("edit", "deployment", "a", editor='sed -i "s/replicas: 1/replicas: 3/"')
        assert edited == (0, "deployment.apps/a edited\n", "")
        assert (await api.get(ns("apps/v1/deployments", "a"))).ok()["spec"]["replicas"] == 3

    async def test_an_edit_that_is_refused(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a", size=3))).ok(201)
        code, _, errors = await kubectl("edit", "widget", "a", editor='sed -i "s/size: 3/size: 900/"')
        assert code == 1
        assert 'widgets.conformance.example "a" is invalid' in errors
        assert (await api.get(ns(widgets, "a"))).ok()["spec"]["size"] == 3

    async def test_edit_of_what_was_applied(self, kubectl: Kubectl, widgets: str) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=widget("a", size=2))
        editor = "sed -i 's/size: 2/size: 3/'"
        code, output, errors = await kubectl("apply", "edit-last-applied", "widget", "a", editor=editor)
        assert (code, output) == (0, "widget.conformance.example/a edited\n"), errors

    async def test_scale(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        (await api.post(ns(widgets), widget("a", replicas=1))).ok(201)
        assert await ok(kubectl, "scale", "deploy/a", "--replicas=3") == "deployment.apps/a scaled\n"
        assert await ok(kubectl, "scale", "wd/a", "--replicas=4") == "widget.conformance.example/a scaled\n"
        assert (await api.get(ns("apps/v1/deployments", "a"))).ok()["spec"]["replicas"] == 3
        assert (await api.get(ns(widgets, "a"))).ok()["spec"]["replicas"] == 4
        code, _, errors = await kubectl("scale", "deploy/a", "--current-replicas=9", "--replicas=1")
        assert (code, "Expected replicas to be 9, was 3" in errors) == (1, True)

    async def test_set_image_and_restart(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        await ok(kubectl, "set", "image", "deploy/a", "main=x:2")
        await ok(kubectl, "set", "env", "deploy/a", "K=v")
        assert await ok(kubectl, "rollout", "restart", "deploy/a") == "deployment.apps/a restarted\n"
        template = (await api.get(ns("apps/v1/deployments", "a"))).ok()["spec"]["template"]
        assert_includes(template["spec"]["containers"], [{"image": "x:2", "env": [{"name": "K", "value": "v"}]}])
        assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


class TestNodes:
    async def test_cordon_taint_and_drain(
        self, kubectl: Kubectl, api: Client, ns: Namespace, cleanup: AsyncExitStack
    ) -> None:
        node = f"{ns.name}-node"
        (await api.post("/api/v1/nodes", {"metadata": {"name": node}})).ok(201)
        cleanup.push_async_callback(api.delete, f"/api/v1/nodes/{node}")
        assert await ok(kubectl, "cordon", node) == f"node/{node} cordoned\n"
        assert "SchedulingDisabled" in await ok(kubectl, "get", "node", node)
        assert await ok(kubectl, "uncordon", node) == f"node/{node} uncordoned\n"
        assert await ok(kubectl, "taint", "node", node, "a=b:NoExecute") == f"node/{node} tainted\n"
        assert f"node/{node} labeled\n" == await ok(kubectl, "label", "node", node, "disk=fast")

        (await api.post(ns("pods"), pod("a", nodeName=node))).ok(201)
        code, _, errors = await kubectl("drain", node, "--timeout=1s")
        assert code == 1
        assert "declare no controller" in errors
        code, output, errors = await kubectl("drain", node, "--force", "--grace-period=0", "--timeout=120s")
        assert code == 0, errors
        assert output.endswith(f"pod/a evicted\nnode/{node} drained\n")
        assert (await api.get(ns("pods", "a"))).status == 404


class TestDelete:
    async def test_one_and_again(self, kubectl: Kubectl, ns: Namespace) -> None:
        await ok(kubectl, "create", "configmap", "a")
        assert await ok(kubectl, "delete", "cm", "a") == f'configmap "a" deleted from {ns.name} namespace\n'
        code, _, errors = await kubectl("delete", "cm", "a")
        assert (code, errors) == (1, 'Error from server (NotFound): configmaps "a" not found\n')
        assert await ok(kubectl, "delete", "cm", "a", "--ignore-not-found") == ""

    async def test_selected_and_all(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        for name in "abc":
            (await api.post(ns(widgets), widget(name))).ok(201)
        await ok(kubectl, "label", "wd", "a", "x=y")
        assert 'widget.conformance.example "a" deleted' in await ok(kubectl, "delete", "wd", "-l", "x=y")
        assert (await ok(kubectl, "delete", "wd", "--all")).count("deleted") == 2

    async def test_it_waits_for_finalizers(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), {"metadata": {"name": "a", "finalizers": ["x.y/z"]}})).ok(201)
        async with api.watch(ns("configmaps"), fieldSelector="metadata.name=a") as events:
            deletion = asyncio.create_task(ok(kubectl, "delete", "cm", "a"))
            assert await events.take(2) == [("ADDED", "a"), ("MODIFIED", "a")]
            (await api.patch(ns("configmaps", "a"), {"metadata": {"finalizers": None}})).ok()
            assert "deleted" in await deletion

    async def test_by_file(self, kubectl: Kubectl, ns: Namespace) -> None:
        await ok(kubectl, "apply", "-f", "-", stdin=service("a"))
        output = await ok(kubectl, "delete", "-f", "-", stdin=service("a"))
        assert output == f'service "a" deleted from {ns.name} namespace\n'


class TestWait:
    async def test_for_a_condition(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        waiting = asyncio.create_task(ok(kubectl, "wait", "--for=condition=Ready", "wd/a", "--timeout=120s"))
        conditions = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        (await api.patch(ns(widgets, "a", "status"), conditions)).ok()
        assert await waiting == "widget.conformance.example/a condition met\n"

    async def test_for_a_field(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        (await api.post(ns("pods"), pod("a"))).ok(201)
        output = await ok(kubectl, "wait", "--for=jsonpath={.status.phase}=Pending", "pod/a", "--timeout=120s")
        assert output == "pod/a condition met\n"

    async def test_for_deletion(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        waiting = asyncio.create_task(ok(kubectl, "wait", "--for=delete", "cm/a", "--timeout=120s"))
        (await api.delete(ns("configmaps", "a"))).ok()
        await waiting

    async def test_too_long(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        (await api.post(ns(widgets), widget("a"))).ok(201)
        code, _, errors = await kubectl("wait", "--for=condition=Ready", "wd/a", "--timeout=0")
        assert (code, "timed out waiting" in errors or "not met" in errors) == (1, True)


class TestReading:
    @pytest.mark.parametrize(
        ("field", "words"),
        [
            ("pods", ["KIND:       Pod", "VERSION:    v1", "spec\t<PodSpec>"]),
            ("deployment.spec.strategy", ["GROUP:      apps", "rollingUpdate", "enum: Recreate, RollingUpdate"]),
            ("widget", ["GROUP:      conformance.example", "KIND:       Widget", "spec\t<Object>"]),
            ("widget.spec.size", ["FIELD: size <integer>"]),
            ("widget.spec", ["color\t<string>", "enum: red, green, blue"]),
        ],
    )
    async def test_explain(self, kubectl: Kubectl, widgets: str, field: str, words: list[str]) -> None:
        output = await ok(kubectl, "explain", field)
        for each in words:
            assert each in output

    async def test_describe(self, kubectl: Kubectl, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns(widgets), widget("a", size=3))).ok(201)
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {
                "apiVersion": "conformance.example/v1",
                "kind": "Widget",
                "name": "a",
                "namespace": ns.name,
                "uid": made["metadata"]["uid"],
            },
            "reason": "Greeted",
            "message": "Hello there.",
            "type": "Normal",
        }
        (await api.post(ns("events"), event)).ok(201)
        output = await ok(kubectl, "describe", "widget", "a")
        for each in ("Name:         a", "Size:", "Greeted", "Hello there."):
            assert each in output

    @pytest.mark.parametrize(
        ("resource", "body"),
        [
            ("pods", pod("a")),
            ("apps/v1/deployments", deployment("a")),
            ("services", service("a")),
            ("configmaps", config_map("a", data={"k": "v"})),
            ("batch/v1/jobs", job("a")),
        ],
        ids=["pod", "deployment", "service", "configmap", "job"],
    )
    async def test_describe_built_in(
        self, kubectl: Kubectl, api: Client, ns: Namespace, resource: str, body: dict[str, Any]
    ) -> None:
        made = (await api.post(ns(resource), body)).ok(201)
        output = await ok(kubectl, "describe", made["kind"].lower(), "a")
        assert re.search(rf"^Name: +a\nNamespace: +{ns.name}$", output, re.MULTILINE)

    async def test_resources(self, kubectl: Kubectl, widgets: str) -> None:
        output = await ok(kubectl, "api-resources", "--no-headers")
        rows = {tuple(line.split()) for line in output.splitlines()}
        assert ("widgets", "wd", "conformance.example/v1", "true", "Widget") in rows
        assert ("deployments", "deploy", "apps/v1", "true", "Deployment") in rows
        assert ("nodes", "no", "v1", "false", "Node") in rows
        versions = (await ok(kubectl, "api-versions")).split()
        assert {"v1", "apps/v1", "batch/v1", "conformance.example/v1"} <= set(versions)

    async def test_rights(self, kubectl: Kubectl) -> None:
        assert await ok(kubectl, "auth", "can-i", "create", "pods") == "yes\n"
        code, output, _ = await kubectl("auth", "can-i", "create", "pods", user="operator")
        assert (code, output) == (1, "no\n")

    async def test_a_token(self, kubectl: Kubectl, server: Server) -> None:
        await ok(kubectl, "create", "serviceaccount", "robot")
        token = (await ok(kubectl, "create", "token", "robot")).strip()
        async with server.client(token) as client:
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            found = (await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)).ok(201)
        assert found["status"]["userInfo"]["username"].endswith(":robot")

    async def test_oneself(self, kubectl: Kubectl, server: Server) -> None:
        assert server.robot in await ok(kubectl, "auth", "whoami", "--as", server.robot)
        assert json.loads(await ok(kubectl, "get", "--raw", "/version"))["major"] == "1"

    async def test_being_forbidden(self, kubectl: Kubectl, server: Server, ns: Namespace) -> None:
        code, _, errors = await kubectl("get", "pods", user="operator")
        why = f'User "{server.robot}" cannot list resource "pods" in API group "" in the namespace "{ns.name}"'
        assert (code, errors) == (1, f"Error from server (Forbidden): pods is forbidden: {why}\n")

    async def test_events(self, kubectl: Kubectl, api: Client, ns: Namespace) -> None:
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": ns.name},
            "reason": "Greeted",
            "message": "Hello there.",
            "type": "Normal",
        }
        (await api.post(ns("events"), event)).ok(201)
        assert "Greeted" in await ok(kubectl, "events", "--for=pod/a")
        assert "Hello there." in await ok(kubectl, "get", "events")
