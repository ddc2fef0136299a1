"""A process whose one reconcile takes its time, for tests that ask it to end.

    python -m tests.runtime.slow_reconcile SECONDS

It prints a line when the reconcile begins, and another when it ends.
"""

import asyncio
import sys

from marie_operator.runtime import ObjectKey, Options, Process, Result, configure_logs, run


async def reconcile(_: ObjectKey) -> Result:
    """Take time."""
    print("begun", flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    print("done", flush=True)
    return Result()


async def main() -> None:
    """Run until SIGTERM."""
    async with Process(Options(name="slow")) as process:
        controller = process.controller("slow", reconcile)
        controller.enqueue(ObjectKey("n", "a"))
        await process.run(controller)


if __name__ == "__main__":
    configure_logs()
    sys.exit(run(main))
