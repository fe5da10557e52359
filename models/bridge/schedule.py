"""How much noise at which step: the cosine schedule of Nichol & Dhariwal 2021 (arXiv 2102.09672), section 3.2.

Step k runs from 0 (clean, ᾱ_0 = 1) to T (almost pure noise). The loss noises with it, the sampler walks back along it,
and its geometry says at which step an audio embedding belongs.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

NUM_STEPS = 1000
"""T of the schedule."""
_OFFSET = 0.008
"""s of equation 17, which keeps the first steps from being too small."""
_MAX_BETA = 0.999
"""Bound of β_k from the same section, which keeps ᾱ_T above 0."""


def cosine_alpha_bar(num_steps: int = NUM_STEPS) -> Float[Tensor, " steps"]:
    """ᾱ_0 … ᾱ_T (T + 1 values, float64) of Nichol & Dhariwal 2021, equation 17, β_k = 1 - ᾱ_k / ᾱ_{k-1} ≤ 0.999."""
    k = torch.arange(num_steps + 1, dtype=torch.float64)
    f = torch.cos((k / num_steps + _OFFSET) / (1 + _OFFSET) * (math.pi / 2)) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=_MAX_BETA)
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, dim=0)])


class CosineSchedule(nn.Module):
    """The table of ᾱ, on the device of the module that holds it; never saved, since it is computed."""

    alpha_bar: Tensor

    def __init__(self, num_steps: int = NUM_STEPS) -> None:
        """Compute the table for T = `num_steps`."""
        super().__init__()
        self.num_steps = num_steps
        self.register_buffer("alpha_bar", cosine_alpha_bar(num_steps).float(), persistent=False)

    def q_sample(
        self, z_0: Float[Tensor, "batch dim"], k: Int[Tensor, " batch"], noise: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        """z_k = sqrt(ᾱ_k) z_0 + sqrt(1 - ᾱ_k) ε (Ho et al. 2020, arXiv 2006.11239, eq. 4), each row at its own k."""
        alpha_bar = self.alpha_bar[k].unsqueeze(1)
        return alpha_bar.sqrt() * z_0 + (1 - alpha_bar).sqrt() * noise

    def signal_to_noise(self, k: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """ᾱ_k / (1 - ᾱ_k) of each step, from 1 to T."""
        alpha_bar = self.alpha_bar[k]
        return alpha_bar / (1 - alpha_bar)

    def start_step_for_cosine(self, cosine: float) -> int:
        """Step from 1 to T where sqrt(ᾱ_k) is nearest to `cosine`.

        With vectors of norm sqrt(dim), cos(z_k, z_0) = sqrt(ᾱ_k) on average. So an audio embedding whose cosine with
        its text is `cosine` lies as far from it as a noised text embedding of that step.
        """
        return 1 + int((self.alpha_bar[1:].sqrt() - cosine).abs().argmin())
