"""Counting requests in an audit log."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from marie_operator.testing.audit import WRITES, AuditLog


def entry(number: int, verb: str, user: str = "operator", **changes: Any) -> str:
    content = {
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": user},
        "requestURI": "/api/v1/namespaces/a/pods/b/status",
        "objectRef": {"resource": "pods", "subresource": "status", "namespace": "a", "name": "b", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        **changes,
    }
    return json.dumps(content) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_a_request_counts_once_when_it_is_answered(path: Path) -> None:
    path.write_text(
        entry(1, "watch", stage="ResponseStarted")
        + entry(1, "watch")
        + entry(2, "get")
        + entry(2, "get")
        + entry(3, "list", stage="ResponseStarted")
        + entry(4, "get", stage="Panic")
    )
    assert AuditLog(path).counted() == Counter({("watch", "pods"): 1, ("get", "pods"): 2})


def test_requests_are_chosen_by_user_verb_and_effect(path: Path) -> None:
    verbs = [*sorted(WRITES), "get", "list", "watch"]
    path.write_text("".join(entry(n, verb, "operator" if n % 2 else "other") for n, verb in enumerate(verbs)))
    log = AuditLog(path)
    assert [each.verb for each in log.writes()] == sorted(WRITES)
    assert {each.user for each in log.writes("other")} == {"other"}
    assert [each.verb for each in log.requests(verbs={"get", "list"})] == ["get", "list"]


def test_a_dry_run_asks_for_no_change(path: Path) -> None:
    name = "/api/v1/namespaces/a/pods/dryRun=All"
    dry = entry(1, "patch", requestURI=f"{name}?fieldManager=x&dryRun=All")
    path.write_text(dry + entry(2, "patch", requestURI=f"{name}?fieldManager=x"))
    assert [each.path for each in AuditLog(path).writes()] == [f"{name}?fieldManager=x"]


def test_a_mark_hides_what_came_before_and_nothing_after(path: Path) -> None:
    log = AuditLog(path)
    assert log.mark() == 0
    half = entry(2, "update")
    path.write_text(entry(1, "create") + half[:20])

    mark = log.mark()
    assert [each.verb for each in log.requests()] == ["create"]
    with path.open("a") as end:
        end.write(half[20:] + entry(3, "delete"))

    assert [each.verb for each in log.requests(since=mark)] == ["update", "delete"]


def test_a_request_reads_as_a_line(path: Path) -> None:
    path.write_text(entry(1, "patch"))
    assert [str(each) for each in AuditLog(path).requests()] == ["patch pods/status a/b -> 200"]


def test_a_request_that_is_about_no_object_has_a_path(path: Path) -> None:
    path.write_text(entry(1, "get", objectRef=None, requestURI="/version"))
    (request,) = AuditLog(path).requests()
    assert (request.resource, request.path) == ("", "/version")
