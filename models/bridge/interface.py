"""What every bridge is: audio embeddings and one seed for each in, text-space embeddings of unit length out.

`store` saves and loads anything of this shape; the pipeline knows nothing else of a bridge.
"""

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn
from torch.nn import functional


class FrozenConfig(BaseModel):
    """Settings that cannot be changed, and that refuse keys they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class BridgeConfig(FrozenConfig):
    """What every bridge's config.json holds; each kind adds its own `kind` literal and settings."""

    kind: str
    dim: PositiveInt


class Bridge(nn.Module):
    """A map from audio embeddings to text-space embeddings; weights and statistics are all in its state dict."""

    config: BridgeConfig

    @property
    def dim(self) -> int:
        """Width of the embeddings on both sides."""
        return self.config.dim

    @abstractmethod
    def forward(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Bridge unit audio embeddings; row i draws its noise from seeds[i] alone, the same alone or in a batch."""

    @property
    def own_text_space(self) -> bool:
        """Whether texts must go through `text_side` to be comparable with the output: no decoder of others can read it."""
        return False

    @property
    def augments_texts(self) -> bool:
        """Whether `noised_text_side` puts texts through the bridge itself, in CLAP's text space, in place of plain noise."""
        return False

    def text_side(self, text_embeddings: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """The texts as this bridge's output is to be compared with: CLAP's own, unless the bridge says otherwise."""
        return functional.normalize(text_embeddings, dim=1)

    def noised_text_side(
        self, text_embeddings: Float[Tensor, "rows dim"], noise: Float[Tensor, "rows dim"], variance: float
    ) -> Float[Tensor, "rows dim"]:
        """The texts as a decoder is to be trained on them, so that it can read bridged audio; `noise` is standard normal.

        normalise(t + sqrt(variance) ε), the noise of CapDec (Nukrai et al. 2022, arXiv 2211.00575), unless the bridge says
        otherwise.
        """
        return functional.normalize(text_embeddings + variance**0.5 * noise, dim=1)

    def __call__(self, audio_embeddings: Float[Tensor, "batch dim"], seeds: Sequence[int]) -> Float[Tensor, "batch dim"]:
        """Check that there is one seed for each row, then bridge.

        Raises:
            ValueError: the number of seeds or the width differs from that of the embeddings.
        """
        if audio_embeddings.shape != (len(seeds), self.dim):
            raise ValueError(f"{len(seeds)} seeds, width {self.dim}, but embeddings {tuple(audio_embeddings.shape)}")
        bridged: Tensor = super().__call__(audio_embeddings, seeds)
        return bridged
