"""Logs: JSON lines for machines, columns and colours for a terminal."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def configure_logs(*, level: str = "info", style: str = "auto", stream: TextIO = sys.stderr) -> None:
    """Send every log line of the process, the libraries' included, to ``stream``.

    Args:
        level: debug, info, warning or error; lines below it are dropped.
        style: json, console, or auto, which is ``console`` on a terminal and ``json`` elsewhere.
        stream: Where the lines go.
    """
    columns = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if columns else "iso", utc=not columns),
    ]
    # Never with local variables: keys and tokens are among them.
    told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    closing: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if columns
        else [structlog.processors.ExceptionRenderer(told), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *closing],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Libraries speak up only when something is wrong.
    for library in ("asyncio", "aiohttp", "kubernetes_asyncio"):
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
