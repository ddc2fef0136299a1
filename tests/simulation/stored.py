"""What is in the buckets of a simulation, found by folder as quickly as by key."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

Place = tuple[str, str]


class Stored:
    """Objects by bucket and key."""

    def __init__(self) -> None:
        self._objects: dict[Place, bytes] = {}
        self._folders: defaultdict[Place, dict[str, None]] = defaultdict(dict)

    def __setitem__(self, place: Place, content: bytes) -> None:
        if place not in self._objects:
            for folder in _folders(place):
                self._folders[folder][place[1]] = None
        self._objects[place] = content

    def __getitem__(self, place: Place) -> bytes:
        return self._objects[place]

    def __contains__(self, place: Place) -> bool:
        return place in self._objects

    async def gathered(self, _bucket: str, _key: str, pieces: AsyncIterator[bytes]) -> bytes:
        """What is to be an object's content, as it arrives."""
        return b"".join([piece async for piece in pieces])

    def discard(self, place: Place) -> None:
        """Delete an object that may be there."""
        if self._objects.pop(place, None) is not None:
            for folder in _folders(place):
                del self._folders[folder][place[1]]
                if not self._folders[folder]:
                    del self._folders[folder]

    def under(self, bucket: str, folder: str = "") -> list[str]:
        """The keys under a folder, in order; without one, in the bucket."""
        return sorted(self._folders.get((bucket, folder), ()))


def _folders(place: Place) -> Iterator[Place]:
    bucket, key = place
    parts = key.split("/")
    for length in range(len(parts)):
        yield bucket, "/".join(parts[:length])
