"""What a gateway answers to a submission before any scheduling: every refusal as recorded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_REQUIRED = ("action_type", "name", "metadata")


@dataclass(frozen=True)
class Reply:
    """A status and a JSON body."""

    status: int
    body: Any


@dataclass(frozen=True)
class Admitted:
    """A submission that the scheduler gets to see."""

    queue: str
    metadata: Mapping[str, Any]
    data: Mapping[str, Any]


def judge(body: Any, keys: frozenset[str]) -> Reply | Admitted:
    """Take a decoded body, from a caller whose bearer token was accepted, as far as the scheduler."""
    if not isinstance(body, dict):
        detail = f"'{type(body).__name__}' object has no attribute 'get'"
        return Reply(500, {"status": "error", "message": "Internal server error", "detail": detail})
    action = (body.get("parameters") or {}).get("invoke_action")
    if not action:
        return _parameters(error="Invalid request, missing invoke_action")
    if "api_key" not in action:
        return _parameters(error="Invalid request, missing api_key")
    if action["api_key"] not in keys:
        return _parameters(error="Invalid or expired token")
    return _command(action)


def _command(action: Mapping[str, Any]) -> Reply | Admitted:
    if action.get("command") != "job":
        return _refused(f"Command not recognized or not implemented : {action.get('command')}")
    for name in _REQUIRED:
        if name not in action:
            return _broken(f"1 validation error for JobSubmissionModel\n{name}\n  Field required")
    match action.get("action"):
        case "submit":
            return _submission(action)
        case "status" | "logs" | "events" as known:
            return _parameters(status="ok", msg=f"Received {known} request")
        case None:
            return _broken("1 validation error for JobSubmissionModel\naction\n  Field required")
        case _:
            return _broken("MarieServerGateway.error_response() missing 1 required positional argument: 'exception'")


def _submission(action: Mapping[str, Any]) -> Reply | Admitted:
    metadata, name = action["metadata"], str(action["name"])
    if not all(metadata.get(field) for field in ("project_id", "ref_type", "ref_id")):
        return _refused("Project ID , Reference Type and Reference ID are required in the metadata")
    soft, hard = metadata.get("soft_sla"), metadata.get("hard_sla")
    if soft:
        try:
            begins = datetime.fromisoformat(soft)
            ends = datetime.fromisoformat(hard) if hard else None
        except ValueError as error:
            return _broken(str(error))
        if ends is None:
            return _broken("'>' not supported between instances of 'datetime.datetime' and 'NoneType'")
        if begins.replace(tzinfo=None) > ends.replace(tzinfo=None):
            return _refused("Soft SLA must be before Hard SLA")
    if not _NAME.fullmatch(name) or name.startswith("amq.") or len(name) > 255:
        return _refused("Event name can only contain letters, digits, hyphen, underscore and period")
    return Admitted(name, metadata, {key: value for key, value in action.items() if key != "metadata"})


def accepted(job_id: str) -> Reply:
    """The reply to everything that got this far, whatever becomes of it."""
    return _parameters(status="ok", msg=f"job submitted with id {job_id}", job_id=job_id)


def _refused(message: str) -> Reply:
    return _parameters(status="error", msg=message, exception={"type": "Unknown", "message": "Unknown error"})


def _parameters(**parameters: Any) -> Reply:
    return Reply(200, {"header": {}, "parameters": parameters, "data": None})


def _broken(message: str) -> Reply:
    return Reply(500, {"status": "error", "message": f"Processing error: {message}"})
