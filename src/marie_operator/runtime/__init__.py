"""A controller runtime for asyncio: enough to write an operator with, and no word of Marie.

An operator is a `Process` that runs `Controller`s. A controller calls a function for each object that something has
happened to; the function reads copies from the process's `Cache`, and writes what differs: children by `Children`,
status by `write_status`. What is promised of all of it stands in ``docs/semantics.md``, each promise with its tests.
"""

from marie_operator.runtime.cache import Cache
from marie_operator.runtime.children import Children, NameTaken
from marie_operator.runtime.client import Client, PatchKind
from marie_operator.runtime.clock import Clock, LoopClock, SystemClock
from marie_operator.runtime.conditions import conditions_with, is_true, with_condition
from marie_operator.runtime.controller import Controller, Result, TerminalError, always, asked_for, own_key, owner
from marie_operator.runtime.decoding import ObjectList, WatchEvent
from marie_operator.runtime.election import Elector, LeadershipLost
from marie_operator.runtime.errors import (
    AlreadyExists,
    ApiError,
    ApplyConflict,
    BadRequest,
    ConfigError,
    Conflict,
    Expired,
    FieldConflict,
    Forbidden,
    Invalid,
    NotFound,
    NotLeader,
    ServerError,
    Silent,
    StartError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    WebhookFailed,
)
from marie_operator.runtime.events import EventRecorder, ObjectReference
from marie_operator.runtime.health import BindError
from marie_operator.runtime.informer import Event, Informer, NotCached
from marie_operator.runtime.logs import configure_logs
from marie_operator.runtime.manager import Manager, NotEnded
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.process import Options, Process, run
from marie_operator.runtime.resource import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    INGRESSES,
    JOBS,
    LEASES,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    ObjectKey,
    Resource,
)
from marie_operator.runtime.status import write_status
from marie_operator.runtime.tracing import Span, Tracer
from marie_operator.runtime.typed import Typed, Unparsable
from marie_operator.runtime.watchdog import ProcessWatchdog, Watchdog
from marie_operator.runtime.writer import Writer

__all__ = [
    "CONFIG_MAPS",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "DEPLOYMENTS",
    "EVENTS",
    "HTTP_ROUTES",
    "INGRESSES",
    "JOBS",
    "LEASES",
    "NETWORK_POLICIES",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "POD_DISRUPTION_BUDGETS",
    "SECRETS",
    "SERVICES",
    "STATEFUL_SETS",
    "AlreadyExists",
    "ApiError",
    "ApplyConflict",
    "BadRequest",
    "BindError",
    "Cache",
    "Children",
    "Client",
    "Clock",
    "ConfigError",
    "Conflict",
    "Controller",
    "Elector",
    "Event",
    "EventRecorder",
    "Expired",
    "FieldConflict",
    "Forbidden",
    "Informer",
    "Invalid",
    "LeadershipLost",
    "LoopClock",
    "Manager",
    "Metrics",
    "NameTaken",
    "NotCached",
    "NotEnded",
    "NotFound",
    "NotLeader",
    "Object",
    "ObjectKey",
    "ObjectList",
    "ObjectReference",
    "Options",
    "PatchKind",
    "Process",
    "ProcessWatchdog",
    "Resource",
    "Result",
    "ServerError",
    "Silent",
    "Span",
    "StartError",
    "SystemClock",
    "TerminalError",
    "TooManyRequests",
    "Tracer",
    "Typed",
    "Unauthorized",
    "Unparsable",
    "Unreachable",
    "WatchEvent",
    "Watchdog",
    "WebhookFailed",
    "Writer",
    "always",
    "asked_for",
    "conditions_with",
    "configure_logs",
    "is_true",
    "own_key",
    "owner",
    "run",
    "with_condition",
    "write_status",
]
