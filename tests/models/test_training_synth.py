"""Generated sounds: audible, their own each time, the same for the same seed."""

import numpy as np
import pytest

from models.training.synth import GENERATORS, synthesize


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("seed", range(4))
def test_every_generator_makes_an_audible_finite_take(name: str, seed: int) -> None:
    take = synthesize(name, np.random.default_rng(seed), 3.0)
    assert take.dtype == np.float32
    assert len(take) == 144_000
    assert np.isfinite(take).all()
    assert np.abs(take).max() == pytest.approx(1.0)
    assert np.sqrt(np.mean(take**2)) > 0.003


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_take_follows_from_its_seed(name: str) -> None:
    one, again, other = (synthesize(name, np.random.default_rng(seed), 1.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_an_unknown_generator_is_refused() -> None:
    with pytest.raises(KeyError):
        synthesize("piccolo", np.random.default_rng(0))
