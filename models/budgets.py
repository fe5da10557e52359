"""How large a batch may be: memory that grows with a batch, and the batches that fit into what there is of it."""

from dataclasses import dataclass

USUAL_TOKENS = 32
"""max_new_tokens of a caption where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes that a batch takes while it is computed: some for any, and some for each item."""

    fixed: int
    each: int

    def fits(self, room: int) -> int:
        """Items that fit into so many bytes."""
        return max(0, (room - self.fixed) // self.each)


@dataclass(frozen=True, slots=True)
class WritingCost:
    """Bytes that captions take while they are written: by sequences (beams, then samples), and by tokens of each."""

    num_beams: int
    sequence: Cost
    """A sequence with its prompt, and logits of one token."""
    token: int
    """The KV cache of one more token of a sequence."""

    def caption(self, candidates: int, max_new_tokens: int) -> Cost:
        """What one more caption takes; the samples, which are all candidates but one, come after the beams."""
        sequences = max(self.num_beams, candidates - 1)
        return Cost(self.sequence.fixed, sequences * (self.sequence.each + self.token * max_new_tokens))


@dataclass(frozen=True, slots=True)
class Budgets:
    """How much goes through a network at once.

    The numbers are ceilings: more is not known to be faster. Where memory is planned, `room` and `writing` bound captions by
    their length and candidates, too.
    """

    windows: int = 8
    texts: int = 256
    embeddings: int = 1_024
    """Through the bridge."""
    captions: int = 64
    """Embeddings that captions are written for."""
    tokens: int = 1_024
    """Candidates times max_new_tokens, summed over captions: what suits one call of the write stage."""
    room: int = 0
    """Bytes that one stage may fill."""
    writing: WritingCost | None = None

    def captions_at_once(self, candidates: int, max_new_tokens: int) -> int:
        """Embeddings that so many captions of such a length are written for at once; at least one."""
        if self.writing is None:
            return self.captions
        return max(1, min(self.captions, self.writing.caption(candidates, max_new_tokens).fits(self.room)))
