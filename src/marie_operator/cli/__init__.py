"""The command line; the only room that wires the others together."""

__all__ = ["main"]


def main() -> None:
    """Entry point; Ctrl-C while it still loads ends it without a trace.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    try:
        from marie_operator.cli.app import main as command  # noqa: PLC0415 - loading takes a second, see above

        command()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
