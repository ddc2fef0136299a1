"""The etcd of a simulated cluster, as much of its JSON gateway as tells of workers and lets one be withdrawn."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from marie_operator.testing.gateway.exchange import Reply
from marie_operator.testing.gateway.marie import SimulatedMarie

PATH = "/v3/kv/txn"


class SimulatedEtcd:
    """What Marie's processes have written, made up whenever somebody reads it.

    Args:
        marie: Whose.
    """

    def __init__(self, marie: SimulatedMarie) -> None:
        self._marie = marie

    def respond(self, method: str, path: str, body: Any) -> Reply:
        """Answer a transaction of ranges and of deletions of registrations."""
        if (method, path) != ("POST", PATH):
            return Reply.of({"code": 5, "message": "Not Found"}, 404)
        rows = {key: (value, revision) for key, value, revision in self._rows()}
        holds = all(
            rows.get(_text(each["key"]), ("", 0))[1] == int(each["mod_revision"]) for each in body.get("compare", ())
        )
        done = [self._done(each, rows) for each in body.get("success", ())] if holds else []
        return Reply.of({"header": {"revision": "1"}, **({"succeeded": True} if holds else {}), "responses": done})

    def _done(self, operation: Any, rows: dict[str, tuple[str, int]]) -> Any:
        if "request_delete_range" in operation:
            address = _text(operation["request_delete_range"]["key"]).removeprefix("/marie/gateway/marie/")
            found = [name for name, at in self._marie.executors.items() if address in at]
            for executor in found:
                self._marie.withdraw(executor, address)
            return {"response_delete_range": {"deleted": str(len(found))}}
        asked = operation["request_range"]
        start, end = _text(asked["key"]), _text(asked["range_end"])
        found = sorted(key for key in rows if start <= key < end)
        kvs = [{"key": _coded(key), "mod_revision": str(rows[key][1]), "value": _coded(rows[key][0])} for key in found]
        return {"response_range": {"kvs": kvs, "count": str(len(kvs))}}

    def _rows(self) -> Iterator[tuple[str, str, int]]:
        engine = self._marie.engine
        registered = [(name, address) for name, at in self._marie.executors.items() for address in at]
        away = [(executor, address) for address, executor in self._marie.withdrawn.items()]
        for executor, address in registered:
            served = json.dumps({executor: [f"grpc://{address}"]})
            value = json.dumps({"Op": 0, "Addr": address, "Metadata": json.dumps(served)})
            yield f"/marie/gateway/marie/{address}", value, 1
        for executor, address in (*registered, *away):
            epoch, node = engine.given(address)
            name = "SERVING" if engine.in_hand(address) else "NOT_SERVING"
            root = f"/marie/deployments/{address}/{executor}"
            yield f"{root}/status", json.dumps({"status_name": name, "epoch": epoch}), 1
            if epoch:
                yield f"{root}/desired", json.dumps({"epoch": epoch, "params": {"job_id": node}}), epoch
        for executor in engine.pool.executors():
            limit, used = engine.pool.slots(executor)
            yield f"/marie/capacity/{executor}", json.dumps({"limit": limit}), 1
            yield f"/marie/semaphores/{executor}/count", str(used), engine.pool.changes + 1
            for node in engine.pool.tickets(executor):
                yield f"/marie/semaphores/{executor}/holders/{node}", "{}", 1


def _text(coded: str) -> str:
    return base64.b64decode(coded).decode()


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
