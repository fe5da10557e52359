"""Log-mel spectrograms on the device, in batches: what CLAP's audio towers look at.

The same numbers as transformers' `ClapFeatureExtractor` (its mel banks are used as they are), for exactly one window a
row. Training and serving both come through here.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import ClapFeatureExtractor

from models.audio import SAMPLE_RATE_HZ, WINDOW_SAMPLES

FFT_SAMPLES = 1_024
HOP_SAMPLES = 480
"""10 ms between frames."""
NUM_MELS = 64
MIN_FREQUENCY_HZ, MAX_FREQUENCY_HZ = 50, 14_000
NUM_FRAMES = WINDOW_SAMPLES // HOP_SAMPLES + 1
"""1,001: a frame is centred on every hop, both ends included."""
_MIN_POWER = 1e-10
"""Floor of the power before the logarithm: -100 dB."""


class LogMel(nn.Module):
    """10 log10 of the mel power spectrogram, in dB."""

    mel_bank: Tensor

    def __init__(self, mel_scale: Literal["slaney", "htk"] = "slaney") -> None:
        """Compute the mel bank, which is never saved: Slaney's, or HTK's, with which LAION's fused encoders were trained."""
        super().__init__()
        extractor = ClapFeatureExtractor(
            feature_size=NUM_MELS,
            sampling_rate=SAMPLE_RATE_HZ,
            hop_length=HOP_SAMPLES,
            fft_window_size=FFT_SAMPLES,
            frequency_min=MIN_FREQUENCY_HZ,
            frequency_max=MAX_FREQUENCY_HZ,
        )
        bank = extractor.mel_filters if mel_scale == "htk" else extractor.mel_filters_slaney
        self.register_buffer("mel_bank", torch.from_numpy(bank).float(), persistent=False)

    def forward(self, windows: Float[Tensor, "windows samples"]) -> Float[Tensor, "windows frames mels"]:
        """Transform each window by itself; the result is where the mel bank is."""
        # Float64 up to the spectrum: in float32 the rounding of loud bins drowns the quiet ones of band-limited files.
        # Apple's GPUs have no float64; the CPU computes the spectrum for them.
        device = self.mel_bank.device
        exact = windows.to("cpu" if device.type == "mps" else device).double()
        padded = functional.pad(exact.unsqueeze(1), (FFT_SAMPLES // 2, FFT_SAMPLES // 2), mode="reflect")
        frames = padded.squeeze(1).unfold(1, FFT_SAMPLES, HOP_SAMPLES)
        # Not torch.stft, which takes twice as long on a CPU.
        spectrum = torch.fft.rfft(frames * torch.hann_window(FFT_SAMPLES, dtype=exact.dtype, device=exact.device))
        power = torch.view_as_real(spectrum).float().square().sum(dim=-1).to(device)
        return 10 * (power @ self.mel_bank).clamp(min=_MIN_POWER).log10()
