"""What a stage may do with its items: the record of its calls, and the rules that the record must obey."""

import math
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from app.stage import Answer, ItemExpiredError, StageClosedError
from app.stage_observer import Outcome


class PoisonError(Exception):
    """The batch holds a poisoned item."""


class BatchError(Exception):
    """The batch fails, whatever it holds."""


class OutOfMemoryError(Exception):
    """The batch was too large."""


@dataclass(eq=False)
class Item:
    """One item, what its caller knows of it, and what the runner did with it."""

    number: int
    key: str
    flow: Hashable
    """With which it keeps its order."""
    cost: int
    expires_s: float
    poisoned: bool = False
    future: "Future[Answer[tuple[str, int]]]" = field(default_factory=Future)
    resolved: int = 0
    calls: list["Call"] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether it neither runs nor is done."""
        return not self.future.running() and not self.future.done()

    def count(self, _: object) -> None:
        """Count how often it is resolved."""
        self.resolved += 1

    @property
    def failure(self) -> BaseException | None:
        """Its error, if it is resolved and not cancelled."""
        return self.future.exception(0) if self.future.done() and not self.future.cancelled() else None


def cancel_all(items: Sequence[Item], _: object) -> None:
    """Give up on them, as a caller may when one of its items is done."""
    for item in items:
        item.future.cancel()


@dataclass(frozen=True)
class Call:
    """One call of the stage's function."""

    items: Sequence[Item]
    outcome: Outcome

    @property
    def size(self) -> int:
        return len(self.items)

    @property
    def cost(self) -> int:
        return sum(item.cost for item in self.items)


def check_batches(calls: Sequence[Call], budget: int) -> int:
    """Check what was batched with what, in which order; return the budget that is left."""
    seen: set[Item] = set()
    last: dict[tuple[Hashable, str], int] = {}
    for call in calls:
        assert len({item.key for item in call.items}) == 1, "no batch mixes keys"
        if seen.isdisjoint(call.items):
            assert call.size == 1 or call.cost <= budget, "no batch of several exceeds the budget"
            for item in call.items:
                assert item.number > last.get((item.flow, item.key), -1), "a flow keeps its order"
                last[item.flow, item.key] = item.number
        else:
            assert seen.issuperset(call.items), "a retry adds nothing"
        seen.update(call.items)
        if call.outcome == "out_of_memory" and call.size > 1:
            budget = max(1, min(budget, call.cost) // 2)
    return budget


def check_tries(item: Item) -> None:
    """Check that an item was tried again as often as it may be, and no more, and that its last try was final."""
    for earlier, later in zip(item.calls, item.calls[1:], strict=False):
        assert earlier.outcome != "ok", "what was answered is not run again"
        if earlier.size == 1:
            assert earlier.outcome == "out_of_memory", "what failed alone is not run again"
            assert later.size == 1
        elif earlier.outcome == "failed":
            assert later.size == 1, "the items of a failed batch are run alone"
        else:
            assert later.size <= math.ceil(earlier.size / 2), "a batch out of memory is halved"
    lone = [call.outcome for call in item.calls if call.size == 1]
    assert lone.count("out_of_memory") <= 2, "a lone item out of memory is tried once more"
    if item.calls and item.calls[-1].outcome != "ok":
        assert item.calls[-1].size == 1, "only an item that failed alone fails"
        if item.calls[-1].outcome == "out_of_memory":
            assert lone[-2:] == ["out_of_memory"] * 2, "a lone item out of memory is tried once more"


def check_fate(item: Item) -> None:
    """Check that the caller was told once, and what befits what was done."""
    assert item.future.done(), "nothing is unresolved"
    assert item.resolved == 1, "a future resolves once"
    if item.future.cancelled() or isinstance(item.failure, ItemExpiredError):
        assert item.calls == [], "what was dropped is not run"
    elif isinstance(item.failure, StageClosedError):
        pass
    elif item.calls[-1].outcome == "ok":
        assert item.future.result(0).value == (item.key, item.number), "the right answer to the right caller"
    elif item.calls[-1].outcome == "out_of_memory":
        assert isinstance(item.failure, OutOfMemoryError)
    else:
        assert isinstance(item.failure, (PoisonError, BatchError))
        assert item.poisoned or isinstance(item.failure, BatchError), "no item fails for another's poison"
