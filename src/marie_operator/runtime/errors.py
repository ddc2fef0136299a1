"""What can go wrong between the operator and the API server, as types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class StartError(Exception):
    """The process cannot start; the message says what to do."""


class ConfigError(StartError):
    """The connection cannot be set up; the message says what is missing and where to give it."""


class NotLeader(Exception):  # noqa: N818 - the name says the state, as NotFound does
    """A write was refused here, because this process does not surely hold the lease."""


class Unreachable(Exception):  # noqa: N818
    """No answer came from the API server.

    Attributes:
        maybe_sent: Whether the request may have reached it, so that a write may have taken place.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


class Silent(Unreachable):
    """The connection stands, and nothing has come over it for longer than a live server lets pass."""


class ApiError(Exception):
    """The API server answered with a ``metav1.Status`` of failure.

    Attributes:
        code: HTTP status.
        reason: Machine-readable reason of the Status; empty when a proxy answered instead.
        message: The server's sentence.
        details: ``details`` of the Status.
        retry_after: Seconds the server asks to wait, or None.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        request: str = "",
    ) -> None:
        super().__init__(f"{request}: {message}" if request else message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after


class BadRequest(ApiError):  # noqa: N818
    """400: the request makes no sense to the server."""


class Unauthorized(ApiError):  # noqa: N818
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):  # noqa: N818
    """403: the role does not allow it, or admission refused it; the message names verb and resource."""


class NotFound(ApiError):  # noqa: N818
    """404: no such object, or no such kind."""


class AlreadyExists(ApiError):  # noqa: N818
    """409: an object of this name exists."""


class Conflict(ApiError):  # noqa: N818
    """409: the object has changed since it was read, or a precondition does not hold."""


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that another manager owns."""

    manager: str
    field: str


class ApplyConflict(Conflict):
    """409 to a server-side apply: other managers own fields that the apply sets.

    Attributes:
        conflicts: The fields and their managers.
    """

    @property
    def conflicts(self) -> tuple[FieldConflict, ...]:
        """The fields and their managers, from ``details.causes``."""
        return tuple(
            FieldConflict(_manager(str(cause.get("message", ""))), str(cause.get("field", "")))
            for cause in self.details.get("causes") or ()
            if cause.get("reason") == "FieldManagerConflict"
        )


def _manager(message: str) -> str:
    """``conflict with "kubectl" using apps/v1`` names the manager between quotes."""
    parts = message.split('"')
    return parts[1] if len(parts) > 2 else message


class Expired(ApiError):  # noqa: N818
    """410: the resource version or continue token is older than what the server keeps."""


class Invalid(ApiError):  # noqa: N818
    """422: the object breaks its schema or a validation rule; the message names the field.

    Also 500 to a server-side apply whose object cannot be merged: two items of a list that is keyed have one key, or
    a field has another type than the schema's. The API server has no reason for that (structuredmerge.go), only words.
    """


class TooManyRequests(ApiError):  # noqa: N818
    """429: the server sheds load."""


class ServerError(ApiError):
    """5xx: the server, or a proxy before it, failed."""


class WebhookFailed(ServerError):  # noqa: N818
    """500: an admission webhook of this kind of object does not answer; other kinds are served.

    The API server has no reason for that (plugin/webhook/errors), only words.
    """


_BY_CODE: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
}


_WEBHOOK = "failed calling webhook "
_UNMERGEABLE = ("failed to create typed patch object", "failed to convert new object")


def from_status(code: int, status: Mapping[str, Any], *, request: str, retry_after: float | None = None) -> ApiError:
    """The typed error for an answer.

    Args:
        code: HTTP status; for an ERROR event of a watch, the ``code`` of its Status.
        status: The decoded ``metav1.Status``; may be empty when the body was something else.
        request: Verb and path, for the message.
        retry_after: Value of the Retry-After header in seconds.
    """
    reason, details = str(status.get("reason", "")), status.get("details") or {}
    kind: type[ApiError] = _BY_CODE.get(code, ServerError if code >= 500 else ApiError)
    if code == 409 and reason == "AlreadyExists":
        kind = AlreadyExists
    elif code == 409 and any(c.get("reason") == "FieldManagerConflict" for c in details.get("causes") or ()):
        kind = ApplyConflict
    message = str(status.get("message") or f"HTTP {code}")
    if code == 500 and message.startswith(_UNMERGEABLE):
        kind = Invalid
    elif code == 500 and _WEBHOOK in message:
        kind = WebhookFailed
    seconds = details.get("retryAfterSeconds") if retry_after is None else retry_after
    return kind(code, reason, message, details=details, retry_after=seconds, request=request)
