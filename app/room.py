"""Room: how much decoded audio may be in memory; who asks for more than is left waits in line."""

import asyncio


class Room:
    """Counts windows of decoded audio, on the event loop. Nobody overtakes, so that a long clip gets its turn."""

    def __init__(self, capacity: int) -> None:
        """Make room for `capacity` windows; a longer clip takes all of it."""
        self._capacity = capacity
        self._left = capacity
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, count: int) -> int:
        """Wait for room for `count` windows; returns what to give back."""
        wanted = min(count, self._capacity)
        async with self._line:
            while self._left < wanted:
                self._freed.clear()
                await self._freed.wait()
            self._left -= wanted
        return wanted

    def give_back(self, count: int) -> None:
        """Free what `take` returned."""
        self._left += count
        self._freed.set()
