"""Prometheus' own parser, lint and engine, as hack/promql has them."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TARGET = {"job": "marie-operator", "namespace": "marie-system", "pod": "marie-operator-0", "instance": "10.0.0.1:8080"}
"""The labels that Prometheus gives to what it scrapes, as config/monitoring/pod_monitor.yaml has it."""


@dataclass(frozen=True)
class Scrape:
    """What a target exposed at a time, in seconds."""

    time: float
    text: str
    content_type: str = "text/plain; version=0.0.4; charset=utf-8"
    labels: dict[str, str] = field(default_factory=lambda: dict(TARGET))


@dataclass(frozen=True)
class Result:
    """What a query came to, and what its selectors found."""

    query: str
    samples: list[dict[str, Any]]
    selectors: list[dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What is wrong with the exposition, and the queries' results, in their order."""

    problems: list[str]
    results: list[Result]


async def asked(scrapes: list[Scrape], *queries: str) -> Answer:
    """Evaluate queries at the last of some scrapes, all of which Prometheus must accept."""
    request = {
        "scrapes": [
            {"time": each.time, "text": each.text, "contentType": each.content_type, "labels": each.labels}
            for each in scrapes
        ],
        "queries": queries,
    }
    program = (await output(str(ROOT / "hack/promql/build.sh"))).decode().strip()
    found = json.loads(await output(program, stdin=json.dumps(request).encode()))
    for each in found["results"]:
        assert not each["error"], f"{each['query']}: {each['error']}"
    return Answer(
        [f"{each['metric']}: {each['text']}" for each in found["problems"]],
        [Result(each["query"], each["samples"], each["selectors"]) for each in found["results"]],
    )


async def output(*command: str, stdin: bytes = b"") -> bytes:
    """What a program prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate(stdin)
    assert process.returncode == 0, errors.decode()
    return out
