"""FairQueue: the order in which waiting items are served, so that one big request cannot starve small ones.

Self-clocked fair queueing (Golestani, INFOCOM 1994): an item's finish tag is the virtual time at which its flow, which has a
fair share, would be done with it: max(now, the finish tag of the flow's last item) plus its cost. The lowest finish tag goes
first, and the virtual time is that of what was served last. Flows that wait at the same time get equal shares of cost, a
flow keeps its own order, single items of equal cost are served first come, first served, and none waits for ever, however
many new flows come.
"""

from bisect import insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class _Waiting(Generic[T]):
    finish_tag: int
    number: int
    cost: int = field(compare=False)
    item: T = field(compare=False)


class FairQueue(Generic[T]):
    """Items in the order of their finish tags. Not safe for several threads by itself."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._waiting: list[_Waiting[T]] = []
        self._finish_tags: dict[Hashable, int] = {}
        self._virtual_time = 0
        self._pushed = 0
        self.cost = 0
        """Of all items together."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        return (waiting.item for waiting in self._waiting)

    def push(self, item: T, flow: Hashable, cost: int) -> None:
        """Queue an item of a flow."""
        finish_tag = max(self._virtual_time, self._finish_tags.get(flow, 0)) + cost
        self._finish_tags[flow] = finish_tag
        self._pushed += 1
        insort(self._waiting, _Waiting(finish_tag, self._pushed, cost, item))
        self.cost += cost

    def serve(self, items: Iterable[T]) -> None:
        """Take items out, as served: the virtual time moves on to the last of them."""
        served = {id(item) for item in items}
        for waiting in self._waiting:
            if id(waiting.item) in served:
                self._virtual_time = max(self._virtual_time, waiting.finish_tag)
        self.remove(lambda item: id(item) in served)
        # A flow that has had no more than its share is as good as a new one.
        self._finish_tags = {flow: tag for flow, tag in self._finish_tags.items() if tag > self._virtual_time}

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take items out without serving them."""
        removed: list[_Waiting[T]] = []
        kept: list[_Waiting[T]] = []
        for waiting in self._waiting:
            # Asked once: a caller on another thread may give up its item at any time, and the answer is another one then.
            (removed if unwanted(waiting.item) else kept).append(waiting)
        self._waiting = kept
        self.cost -= sum(waiting.cost for waiting in removed)
        return [waiting.item for waiting in removed]
