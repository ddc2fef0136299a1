"""A controller runtime for asyncio: enough to write an operator with, and no word of Marie."""

from marie_operator.runtime.cache import Cache
from marie_operator.runtime.client import Client, PatchKind
from marie_operator.runtime.clock import Clock, LoopClock, SystemClock
from marie_operator.runtime.conditions import is_true, with_condition
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
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from marie_operator.runtime.events import EventRecorder, ObjectReference
from marie_operator.runtime.health import BindError, LoopLag, Server, metrics_page, probes
from marie_operator.runtime.informer import Event, Informer, NotCached
from marie_operator.runtime.manager import Manager
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.queue import ShutDown, WorkQueue
from marie_operator.runtime.resource import Object, ObjectKey, Resource
from marie_operator.runtime.typed import Typed, Unparsable
from marie_operator.runtime.watchdog import ProcessWatchdog, Watchdog
from marie_operator.runtime.writer import Writer

__all__ = [
    "AlreadyExists",
    "ApiError",
    "ApplyConflict",
    "BadRequest",
    "BindError",
    "Cache",
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
    "LoopLag",
    "Manager",
    "Metrics",
    "NotCached",
    "NotFound",
    "NotLeader",
    "Object",
    "ObjectKey",
    "ObjectList",
    "ObjectReference",
    "PatchKind",
    "ProcessWatchdog",
    "Resource",
    "Result",
    "Server",
    "ServerError",
    "ShutDown",
    "SystemClock",
    "TerminalError",
    "TooManyRequests",
    "Typed",
    "Unauthorized",
    "Unparsable",
    "Unreachable",
    "WatchEvent",
    "Watchdog",
    "WorkQueue",
    "Writer",
    "always",
    "asked_for",
    "is_true",
    "metrics_page",
    "own_key",
    "owner",
    "probes",
    "with_condition",
]
