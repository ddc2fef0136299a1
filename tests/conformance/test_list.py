"""Lists: in pages, of versions, and selected."""

import re
from typing import Any

import pytest

from tests.conformance.conftest import namespace
from tests.conformance.samples import config_map, pod, service, widget
from tests.conformance.wire import Client, Namespace, assert_includes, names

LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '


async def fill(api: Client, ns: Namespace, letters: str = "abcde") -> str:
    """Config maps with labels; the version after the last."""
    version = ""
    for index, name in enumerate(letters):
        labels = {"index": str(index), "parity": "odd" if index % 2 else "even"} | (
            {"only": "c"} if name == "c" else {}
        )
        made = await api.post(ns("configmaps"), {"metadata": {"name": name, "labels": labels}})
        version = made.ok(201)["metadata"]["resourceVersion"]
    return version


class TestForm:
    async def test_an_empty_one(self, api: Client, ns: Namespace) -> None:
        listed = (await api.get(ns("secrets"))).ok()
        assert_includes(listed, {"kind": "SecretList", "apiVersion": "v1", "items": []})
        assert re.fullmatch(r"\d+", listed["metadata"]["resourceVersion"])

    async def test_an_empty_one_of_custom_objects(self, api: Client, ns: Namespace, widgets: str) -> None:
        expected = {"kind": "WidgetList", "apiVersion": "conformance.example/v1", "items": []}
        assert_includes((await api.get(ns(widgets))).ok(), expected)

    async def test_sorted_by_name(self, api: Client, ns: Namespace, widgets: str) -> None:
        for name in ("b", "a-b", "a", "b.a", "a.b", "0", "ab"):
            (await api.post(ns("configmaps"), config_map(name))).ok(201)
            (await api.post(ns(widgets), widget(name))).ok(201)
        expected = ["0", "a", "a-b", "a.b", "ab", "b", "b.a"]
        assert names((await api.get(ns("configmaps"))).ok()) == expected
        assert names((await api.get(ns(widgets))).ok()) == expected

    async def test_items_are_what_a_get_gives(self, api: Client, ns: Namespace, widgets: str) -> None:
        made = (await api.post(ns("configmaps"), config_map("a", data={"k": "v"}))).ok(201)
        listed = (await api.get(ns("configmaps"))).ok()
        # Items of built-in lists do without their kind.
        assert listed["items"] == [{name: made[name] for name in ("metadata", "data")}]
        made = (await api.post(ns(widgets), widget("a"))).ok(201)
        assert (await api.get(ns(widgets))).ok()["items"] == [made]

    async def test_its_version_is_the_last_of_all(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        made = (await api.post(ns("secrets"), {"metadata": {"name": "a"}})).ok(201)
        listed = (await api.get(ns("configmaps"))).ok()
        assert int(listed["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])

    async def test_across_namespaces(self, api: Client, ns: Namespace, widgets: str) -> None:
        second = await namespace(api)
        for each in (second, ns):
            for resource, body in (("configmaps", config_map("x")), (widgets, widget("x"))):
                labels = {"labels": {"across": ns.name}}
                (await api.post(each(resource), body | {"metadata": body["metadata"] | labels})).ok(201)
        for path in ("/api/v1/configmaps", "/apis/conformance.example/v1/widgets"):
            listed = (await api.get(path, labelSelector=f"across={ns.name}")).ok()
            # Sorted by namespace first.
            expected = sorted([ns.name, second.name])
            assert [item["metadata"]["namespace"] for item in listed["items"]] == expected

    async def test_unknown_parameters_are_ignored(self, api: Client, ns: Namespace) -> None:
        (await api.get(ns("configmaps"), foo="bar")).ok()


class TestPages:
    async def test_all_pages_are_the_list(self, api: Client, ns: Namespace, widgets: str) -> None:
        await fill(api, ns)
        for name in "abcde":
            (await api.post(ns(widgets), widget(name))).ok(201)
        for resource in ("configmaps", widgets):
            first = (await api.get(ns(resource), limit=2)).ok()
            assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
            token = first["metadata"]["continue"]
            second = (await api.get(ns(resource), limit=2, **{"continue": token})).ok()
            assert (names(second), second["metadata"]["remainingItemCount"]) == (["c", "d"], 1)
            token = second["metadata"]["continue"]
            third = (await api.get(ns(resource), limit=2, **{"continue": token})).ok()
            assert names(third) == ["e"]
            assert not third["metadata"].get("continue")
            assert "remainingItemCount" not in third["metadata"]
            versions = {each["metadata"]["resourceVersion"] for each in (first, second, third)}
            assert len(versions) == 1

    async def test_later_pages_do_not_see_later_changes(self, api: Client, ns: Namespace) -> None:
        await fill(api, ns)
        first = (await api.get(ns("configmaps"), limit=2)).ok()
        (await api.delete(ns("configmaps", "d"))).ok()
        (await api.post(ns("configmaps"), config_map("cc"))).ok(201)
        (await api.patch(ns("configmaps", "e"), {"data": {"k": "v"}})).ok()
        rest = (await api.get(ns("configmaps"), **{"continue": first["metadata"]["continue"]})).ok()
        assert names(rest) == ["c", "d", "e"]
        assert "data" not in rest["items"][2]

    @pytest.mark.parametrize("limit", [0, -1, 5, 100])
    async def test_limits_that_do_not_limit(self, api: Client, ns: Namespace, limit: int) -> None:
        await fill(api, ns)
        listed = (await api.get(ns("configmaps"), limit=limit)).ok()
        assert names(listed) == ["a", "b", "c", "d", "e"]
        assert_includes(listed["metadata"], {"continue": None, "remainingItemCount": None})

    async def test_with_a_selector_the_rest_is_not_counted(self, api: Client, ns: Namespace) -> None:
        await fill(api, ns)
        first = (await api.get(ns("configmaps"), limit=2, labelSelector="parity=even")).ok()
        assert names(first) == ["a", "c"]
        assert "remainingItemCount" not in first["metadata"]
        query = {"continue": first["metadata"]["continue"], "labelSelector": "parity=even"}
        assert names((await api.get(ns("configmaps"), limit=2, **query)).ok()) == ["e"]

    async def test_a_bad_limit(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps"), limit="x")
        reply.refused(400, "BadRequest", 'strconv.ParseInt: parsing "x": invalid syntax')

    async def test_a_bad_token(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps"), limit=2, **{"continue": "garbage"})
        reply.refused(400, "BadRequest", re.compile("invalid continue token: continue key is not valid: .*"))

    async def test_a_token_with_a_version(self, api: Client, ns: Namespace) -> None:
        await fill(api, ns)
        token = (await api.get(ns("configmaps"), limit=2)).ok()["metadata"]["continue"]
        reply = await api.get(ns("configmaps"), resourceVersion="1", **{"continue": token})
        message = "specifying resource version is not allowed when using continue"
        reply.refused(400, "BadRequest", message)
        (await api.get(ns("configmaps"), resourceVersion="0", **{"continue": token})).ok()


class TestVersions:
    async def test_exact(self, api: Client, ns: Namespace) -> None:
        version = await fill(api, ns)
        (await api.delete(ns("configmaps", "d"))).ok()
        listed = (await api.get(ns("configmaps"), resourceVersion=version, resourceVersionMatch="Exact")).ok()
        assert names(listed) == ["a", "b", "c", "d", "e"]
        assert listed["metadata"]["resourceVersion"] == version

    @pytest.mark.parametrize("match", [None, "NotOlderThan"])
    async def test_not_older(self, api: Client, ns: Namespace, match: str | None) -> None:
        version = await fill(api, ns)
        listed = (await api.get(ns("configmaps"), resourceVersion=version, resourceVersionMatch=match)).ok()
        assert names(listed) == ["a", "b", "c", "d", "e"]
        assert int(listed["metadata"]["resourceVersion"]) >= int(version)

    async def test_any(self, api: Client, ns: Namespace) -> None:
        (await api.get(ns("configmaps"), resourceVersion="0")).ok()
        (await api.get(ns("configmaps"), resourceVersion="0", resourceVersionMatch="NotOlderThan")).ok()

    async def test_a_page_of_a_version_is_exact(self, api: Client, ns: Namespace) -> None:
        version = await fill(api, ns)
        (await api.delete(ns("configmaps", "b"))).ok()
        listed = (await api.get(ns("configmaps"), resourceVersion=version, limit=2)).ok()
        assert names(listed) == ["a", "b"]
        assert listed["metadata"]["resourceVersion"] == version

    BAD = (
        (
            {"resourceVersion": "0", "resourceVersionMatch": "Exact"},
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            {"resourceVersion": "1", "resourceVersionMatch": "Nope"},
            'resourceVersionMatch: Unsupported value: "Nope": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            {"sendInitialEvents": "true"},
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            {"continue": "x", "resourceVersion": "1", "resourceVersionMatch": "Exact"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
    )

    @pytest.mark.parametrize(("query", "why"), BAD, ids=["zero", "alone", "unknown", "initial", "continue"])
    @pytest.mark.parametrize("resource", ["configmaps", "widgets"])
    async def test_rules(
        self, api: Client, ns: Namespace, widgets: str, resource: str, query: dict[str, str], why: str
    ) -> None:
        reply = await api.get(ns(widgets if resource == "widgets" else resource), **query)
        reply.refused(422, "Invalid", LIST_OPTIONS + why)

    async def test_no_version(self, api: Client, ns: Namespace) -> None:
        reply = await api.get(ns("configmaps"), resourceVersion="abc")
        why = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
        reply.refused(400, "BadRequest", f"invalid resource version: {why}")

    @pytest.mark.parametrize("path", [(), ("a",)], ids=["list", "get"])
    async def test_a_version_to_come(self, api: Client, ns: Namespace, path: tuple[str, ...]) -> None:
        (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        reply = await api.get(ns("configmaps", *path), resourceVersion="999999999")
        message = re.compile(r"Timeout: Too large resource version: 999999999, current: \d+")
        details = reply.refused(504, "Timeout", message)
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        assert details == {"causes": [cause], "retryAfterSeconds": 1}

    async def test_a_get_of_any_version(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        version = made["metadata"]["resourceVersion"]
        assert (await api.get(ns("configmaps", "a"), resourceVersion=version)).ok() == made
        assert (await api.get(ns("configmaps", "a"), resourceVersion="0")).ok() == made


class TestLabelSelectors:
    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("parity=odd", "bd"),
            ("parity==odd", "bd"),
            ("parity!=odd", "ace"),
            ("only!=c", "abde"),
            ("parity in (odd)", "bd"),
            ("parity in (odd,even)", "abcde"),
            ("parity in (x, odd )", "bd"),
            ("parity notin (odd)", "ace"),
            ("only notin (x,y)", "abcde"),
            ("only", "c"),
            ("!only", "abde"),
            ("parity=odd,index=1", "b"),
            ("parity=odd,!only,index!=1", "d"),
            ("index in (1,2),parity=odd", "b"),
            ("index>2", "de"),
            ("index<2", "ab"),
            ("index>0,index<3", "bc"),
            ("only>0", ""),
            ("parity=", ""),
            ("parity in ()", ""),
            (" parity = odd ", "bd"),
            ("nothing=x", ""),
            ("", "abcde"),
        ],
    )
    async def test_operators(self, api: Client, ns: Namespace, selector: str, expected: str) -> None:
        await fill(api, ns)
        assert "".join(names((await api.get(ns("configmaps"), labelSelector=selector)).ok())) == expected

    BAD = (
        ("e in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("e in x", "unable to parse requirement: found 'x' expected: '('"),
        ("e in", "unable to parse requirement: found '' expected: '('"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("e==x,", "found '', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("e=(x)", "unable to parse requirement: found '(', expected: identifier"),
        ("e=a b", "found 'b', expected: ',' or 'end of string'"),
        (
            "i>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be "
            "an integer",
        ),
        ("-a=b", re.compile('unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of .*')),
        ("a=-b", re.compile('unable to parse requirement: .*Invalid value: "-b": a valid label must be .*')),
        ("x/y/z=1", re.compile('unable to parse requirement: <nil>: Invalid value: "x/y/z": a valid label key .*')),
    )

    @pytest.mark.parametrize(("selector", "message"), BAD, ids=[case[0] for case in BAD])
    async def test_bad(
        self, api: Client, ns: Namespace, widgets: str, selector: str, message: str | re.Pattern[str]
    ) -> None:
        for resource in ("configmaps", widgets):
            (await api.get(ns(resource), labelSelector=selector)).refused(400, "BadRequest", message)

    async def test_of_custom_objects(self, api: Client, ns: Namespace, widgets: str) -> None:
        for name in "abc":
            body = widget(name)
            body["metadata"]["labels"] = {"k": name}
            (await api.post(ns(widgets), body)).ok(201)
        assert names((await api.get(ns(widgets), labelSelector="k in (a,c)")).ok()) == ["a", "c"]


class TestFieldSelectors:
    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("metadata.name=a", "a"),
            ("metadata.name==a", "a"),
            ("metadata.name!=a", "bcde"),
            ("metadata.name!=a,metadata.name!=b", "cde"),
            ("metadata.name=a,metadata.name=b", ""),
            ("metadata.namespace=elsewhere", ""),
            ("metadata.name=", ""),
            ("", "abcde"),
        ],
    )
    async def test_of_every_kind(self, api: Client, ns: Namespace, widgets: str, selector: str, expected: str) -> None:
        await fill(api, ns)
        for name in "abcde":
            (await api.post(ns(widgets), widget(name))).ok(201)
        for resource in ("configmaps", widgets):
            assert "".join(names((await api.get(ns(resource), fieldSelector=selector)).ok())) == expected

    async def test_a_namespace_across_all(self, api: Client, ns: Namespace, widgets: str) -> None:
        await fill(api, ns)
        (await api.post(ns(widgets), widget("a"))).ok(201)
        listed = await api.get("/api/v1/configmaps", fieldSelector=f"metadata.namespace={ns.name}")
        assert names(listed.ok()) == ["a", "b", "c", "d", "e"]
        path = "/apis/conformance.example/v1/widgets"
        assert names((await api.get(path, fieldSelector=f"metadata.namespace={ns.name}")).ok()) == ["a"]

    async def test_with_labels(self, api: Client, ns: Namespace) -> None:
        await fill(api, ns)
        query = {"labelSelector": "parity=odd", "fieldSelector": "metadata.name!=b"}
        assert names((await api.get(ns("configmaps"), **query)).ok()) == ["d"]

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("spec.nodeName=n1", ["p1"]),
            ("spec.nodeName!=n1", ["p2", "p3"]),
            ("spec.nodeName=", ["p2"]),
            ("status.phase=Running", ["p1"]),
            ("status.phase!=Running", ["p2", "p3"]),
            ("status.phase=Pending,spec.nodeName=n2", ["p3"]),
            ("spec.restartPolicy=Never", ["p3"]),
            ("status.podIP=10.1.2.3", ["p1"]),
            ("spec.serviceAccountName=default", ["p1", "p2", "p3"]),
            ("spec.schedulerName=default-scheduler", ["p1", "p2", "p3"]),
            ("spec.hostNetwork=false", ["p1", "p2", "p3"]),
            ("status.nominatedNodeName=", ["p1", "p2", "p3"]),
        ],
    )
    async def test_of_pods(self, api: Client, ns: Namespace, selector: str, expected: list[str]) -> None:
        for body in (pod("p1", nodeName="n1"), pod("p2"), pod("p3", nodeName="n2", restartPolicy="Never")):
            (await api.post(ns("pods"), body)).ok(201)
        status = {"status": {"phase": "Running", "podIP": "10.1.2.3"}}
        (await api.patch(ns("pods", "p1", "status"), status)).ok()
        assert names((await api.get(ns("pods"), fieldSelector=selector)).ok()) == expected

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("involvedObject.name=x", ["e1"]),
            ("involvedObject.kind=Pod", ["e1", "e2"]),
            ("involvedObject.kind=Pod,involvedObject.name!=x", ["e2"]),
            ("involvedObject.uid=u2", ["e2"]),
            ("reason=Started", ["e1"]),
            ("type=Warning", ["e2"]),
            ("type=Normal,reason=Failed", []),
            ("source=kubelet", ["e1"]),
            ("reportingComponent=", ["e1", "e2"]),
        ],
    )
    async def test_of_events(self, api: Client, ns: Namespace, selector: str, expected: list[str]) -> None:
        for name, about, uid, reason, kind, component in (
            ("e1", "x", "u1", "Started", "Normal", "kubelet"),
            ("e2", "y", "u2", "Failed", "Warning", ""),
        ):
            body = {
                "metadata": {"name": name},
                "involvedObject": {"kind": "Pod", "namespace": ns.name, "name": about, "uid": uid},
                "reason": reason,
                "type": kind,
                "source": {"component": component},
            }
            (await api.post(ns("events"), body)).ok(201)
        assert names((await api.get(ns("events"), fieldSelector=selector)).ok()) == expected

    async def test_of_other_kinds(self, api: Client, ns: Namespace) -> None:
        (await api.post(ns("secrets"), {"metadata": {"name": "a"}, "type": "x.y/z"})).ok(201)
        (await api.post(ns("secrets"), {"metadata": {"name": "b"}})).ok(201)
        assert names((await api.get(ns("secrets"), fieldSelector="type=Opaque")).ok()) == ["b"]
        (await api.post(ns("services"), service("a"))).ok(201)
        (await api.post(ns("services"), service("b", clusterIP="None"))).ok(201)
        assert names((await api.get(ns("services"), fieldSelector="spec.clusterIP=None")).ok()) == ["b"]
        query = {"fieldSelector": f"status.phase=Active,metadata.name={ns.name}"}
        assert names((await api.get("/api/v1/namespaces", **query)).ok()) == [ns.name]

    KNOWN = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
    UNSUPPORTED: tuple[tuple[str, str, str], ...] = (
        ("configmaps", "metadata.uid=1", f'"metadata.uid" {KNOWN}'),
        ("configmaps", "data.k=v", f'"data.k" {KNOWN}'),
        ("apps/v1/deployments", "spec.replicas=1", f'"spec.replicas" {KNOWN}'),
        ("pods", "spec.foo=x", "field label not supported: spec.foo"),
        ("events", "message=x", "field label not supported: message"),
        ("conformance.example/v1/widgets", "spec.size=1", "field label not supported: spec.size"),
        ("configmaps", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("configmaps", "metadata.name>a", "invalid selector: 'metadata.name>a'; can't understand 'metadata.name>a'"),
    )

    @pytest.mark.parametrize(("resource", "selector", "message"), UNSUPPORTED)
    async def test_unsupported(
        self, api: Client, ns: Namespace, widgets: str, resource: str, selector: str, message: str
    ) -> None:
        (await api.get(ns(resource), fieldSelector=selector)).refused(400, "BadRequest", message)

    async def test_a_get_ignores_selectors(self, api: Client, ns: Namespace) -> None:
        made: dict[str, Any] = (await api.post(ns("configmaps"), config_map("a"))).ok(201)
        assert (await api.get(ns("configmaps", "a"), labelSelector="x=y")).ok() == made
