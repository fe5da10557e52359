"""The diffusion bridge: audio embeddings across the modality gap, into the distribution of text embeddings.

"Diffusion bridge" has two meanings. Here it is a diffusion model of text embeddings that is entered midway with an
audio embedding, as in Diffusion Bridge (Lee et al., CVPR 2025) and Diffusion-Link (Nam et al. 2025, arXiv 2510.11330).
It is not a Brownian or Schrödinger bridge between paired ends.

The full text of Diffusion-Link is not at hand. Its abstract fixes three things: the bridge is trained at the output
embedding of a frozen encoder, the network is three residual MLP blocks, and the losses are a cross-sample prediction
loss and a topology loss. Schedule, formulae, weights and sampling are our reconstruction.

Four ideas, each in its own file: `denoiser` (the network), `schedule` (how much noise at which step), `loss` and
`sampler`; `diffusion_link` puts them together. The bridges that it is compared with stand behind the same `interface`:

- `identity`, `mean_shift`, `ridge`, `mlp_regression`: controls;
- `c3`, `text_memory`, `realign`: the field's ways without training;
- `diffusion_bridge`, `conditional_prior`: diffusion without the paper's losses.

`learned` is what those with a network share.
"""
