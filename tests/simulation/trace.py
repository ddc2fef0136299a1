"""What happened in a simulation: a digest that two runs of one seed share, and lines to read."""

import asyncio
from collections.abc import Callable
from hashlib import blake2b

SHOWN = 300
"""Characters of a message's content that a line shows."""


class Trace:
    """Takes down what happens.

    Args:
        show: Where lines go; nowhere by default.
    """

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self._digest = blake2b(digest_size=16)
        self._show = show

    @property
    def digest(self) -> str:
        """Of all that has happened."""
        return self._digest.hexdigest()

    def note(self, who: str, what: str, *contents: bytes) -> None:
        """Something happened.

        Args:
            who: To whom.
            what: In a few words.
            contents: What was sent and received.
        """
        line = f"{asyncio.get_running_loop().time():11.6f} {who:<10} {what}"
        self._digest.update(line.encode())
        for content in contents:
            self._digest.update(content)
        if self._show is not None:
            shown = " | ".join(content.decode(errors="replace").strip()[:SHOWN] for content in contents if content)
            self._show(f"{line}  {shown}".rstrip())
