"""The command line; the only room that wires the others together."""

import gc

__all__ = ["main"]


def main() -> None:
    """Entry point; Ctrl-C while it still loads ends it without a trace.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    # What is being loaded is no garbage, and looking for some in it again and again takes a sixth of the start.
    gc.set_threshold(50_000)
    try:
        from marie_operator.cli.app import main as command  # noqa: PLC0415 - loading takes a second, see above

        command()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
