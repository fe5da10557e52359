"""CostLaw: a device whose speed is known, so that the best possible throughput can be computed and not only measured."""

from dataclasses import dataclass

_STAGES = 2
"""Embed and write take turns on one device."""


@dataclass(frozen=True, slots=True)
class CostLaw:
    """A batch of n items takes `fixed_ms` + `each_ms` · n milliseconds, in either stage."""

    fixed_ms: float
    each_ms: float

    @classmethod
    def parse(cls, text: str) -> "CostLaw":
        """Read "A_MS,B_MS".

        Raises:
            ValueError: the text is something else, or both are 0, or one is negative.
        """
        fixed_ms, each_ms = (float(part) for part in text.split(","))
        # Written so that NaN is refused too.
        if not (fixed_ms >= 0 and each_ms >= 0 and 0 < fixed_ms + each_ms < float("inf")):
            raise ValueError(f"a cost law of {text!r} takes no time, negative time or for ever")
        return cls(fixed_ms, each_ms)

    def __str__(self) -> str:
        return f"{self.fixed_ms:g},{self.each_ms:g}"

    def batch_ms(self, count: int) -> float:
        """Time of one batch in one stage."""
        return self.fixed_ms + self.each_ms * count

    @property
    def lone_ms(self) -> float:
        """Time that one request alone spends on the device: a batch of one in each stage."""
        return _STAGES * self.batch_ms(1)

    def ideal_per_s(self, batch: int) -> float:
        """Requests a second at which the device is never idle and every batch is full.

        Each request is one item of the embed stage and one of the write stage. The stages take turns on one device: a batch
        of B windows, then a batch of B captions. B requests thus need (a + bB) + (a + bB) milliseconds of the device, and
        since a is shared by all of a batch, no smaller one does better. This is the most that any scheduler can do.
        """
        return 1_000 * batch / (_STAGES * self.batch_ms(batch))
