"""The command line; the only room that wires the others together."""

from marie_operator.cli.app import main

__all__ = ["main"]
