"""What a gateway answers to a submission before any scheduling: every refusal as recorded."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marie_operator.testing.gateway.exchange import Reply

_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_STUBS = frozenset({"status", "logs", "events"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """A submission that the scheduler gets to see.

    Attributes:
        action: Its ``invoke_action``.
    """

    action: Mapping[str, Any]


def judge(authorization: str, body: bytes, api_keys: Collection[str]) -> Reply | Admitted:
    """Take a request to invoke as far as the scheduler.

    Args:
        authorization: The header.
        body: As received.
        api_keys: Accepted; none at all accepts nothing.
    """
    refusal = _credentials(authorization, api_keys)
    if refusal is not None:
        return refusal
    try:
        decoded = json.loads(body)
    except ValueError:
        return Reply.of({"status": "error", "message": "Invalid JSON payload"}, 400)
    if not isinstance(decoded, dict):
        detail = f"'{type(decoded).__name__}' object has no attribute 'get'"
        return Reply.of({"status": "error", "message": "Internal server error", "detail": detail}, 500)
    action = (decoded.get("parameters") or {}).get("invoke_action")
    return _parameters(error="Invalid request, missing invoke_action") if not action else _action(action, api_keys)


def _credentials(authorization: str, api_keys: Collection[str]) -> Reply | None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return Reply.of({"status": "error", "message": "Not authenticated"}, 401)
    if token not in api_keys:
        return Reply.of({"status": "error", "message": "Invalid token or expired token."}, 401)
    return None


def _action(action: Mapping[str, Any], api_keys: Collection[str]) -> Reply | Admitted:
    if not action.get("api_key"):
        return _parameters(error="Invalid request, missing api_key")
    if action["api_key"] not in api_keys:
        return _parameters(error="Invalid or expired token")
    return _command(action)


def accepted(job_id: str) -> Reply:
    """The reply to everything that got this far, whatever becomes of it."""
    return _parameters(status="ok", msg=f"job submitted with id {job_id}", job_id=job_id)


def _command(action: Mapping[str, Any]) -> Reply | Admitted:
    if action.get("command") != "job":
        return _refused(f"Command not recognized or not implemented : {action.get('command')}")
    verb = action.get("action")
    if verb in _STUBS:
        return _parameters(status="ok", msg=f"Received {verb} request")
    if verb != "submit":
        return _broken("MarieServerGateway.error_response() missing 1 required positional argument: 'exception'")
    missing = next((name for name in ("action_type", "name", "metadata") if name not in action), None)
    if missing is not None:
        return _broken(
            f"1 validation error for JobSubmissionModel\n{missing}\n  Field required "
            "[type=missing, input_value={...}, input_type=dict]\n"
            "    For further information visit https://errors.pydantic.dev/2.12/v/missing"
        )
    return _submission(action)


def _submission(action: Mapping[str, Any]) -> Reply | Admitted:
    metadata, name = action["metadata"], str(action["name"])
    if not all(metadata.get(field) for field in ("project_id", "ref_type", "ref_id")):
        return _refused("Project ID , Reference Type and Reference ID are required in the metadata")
    if not _NAME.fullmatch(name) or name.startswith("amq."):
        return _refused("Event name can only contain letters, digits, hyphen, underscore and period")
    soft, hard = metadata.get("soft_sla"), metadata.get("hard_sla")
    if soft:
        # Without a soft one the hard one is not even read.
        try:
            wanted, useless = _moment(soft), _moment(hard) if hard else None
        except ValueError as error:
            return _broken(str(error))
        if useless is None:
            return _broken("'>' not supported between instances of 'datetime.datetime' and 'NoneType'")
        if wanted > useless:
            return _refused("Soft SLA must be before Hard SLA")
    return Admitted(action)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parameters(**parameters: Any) -> Reply:
    return Reply.of({"header": {}, "parameters": parameters, "data": None})


def _refused(message: str) -> Reply:
    return _parameters(status="error", msg=message, exception={"type": "Unknown", "message": "Unknown error"})


def _broken(message: str) -> Reply:
    return Reply.of({"status": "error", "message": f"Processing error: {message}"}, 500)
