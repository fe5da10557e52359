"""The card of a data set's artifact: what each part saw, whose weights it holds, and nothing of scenes or sounds."""

from datetime import UTC, datetime
from typing import Any

import pytest

from models.artifact import ArtifactManifest
from models.training.model_card import Measured, write_model_card

_PARTS = {name: {"clips": 40, "captions": 200, "unusable": 3} for name in ("bridge", "validation", "test")}
_MODEL = {
    "kind": "pretrained",
    "source": "Qwen/Qwen2.5-1.5B-Instruct",
    "revision": "abc",
    "tuning": "lora",
    "lora": {"rank": 8, "alpha": 32, "targets": ["q_proj", "v_proj"], "dropout": 0.05},
}
_ENCODER = {"source": "laion/clap-htsat-unfused", "revision": "def", "format": "transformers", "sha256": {}}
_NETWORKS: dict[str, Any] = {"encoder": {"dim": 512}, "bridge": {"kind": "diffusion-link"}, "decoder": {"dim": 512}}


def _card(inputs: dict[str, float] | None = None, encoder: dict[str, Any] | None = None, **recipe: Any) -> str:
    decoder = {"inputs": inputs or {"text": 0.0, "bridged": 1.0}, "language_model": recipe.pop("model", _MODEL)}
    content = {"data": {"kind": "audiocaps", "folder": "/home/me/audiocaps"}, "clap": None, "decoder": decoder, **recipe}
    manifest = ArtifactManifest(
        schema_version=1,
        name="caps",
        version="2",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        code_revision="none",
        licence="MIT",
        files={"clap/config.json": "0" * 64},
        recipe=content,
        training_data={"data": {"kind": "audiocaps", "parts": _PARTS}},
        metrics={},
    )
    return write_model_card(manifest, _NETWORKS, [], "Ours.", Measured({}, "Measured on 40 clips.\n"), encoder)


def test_a_data_set_stands_in_place_of_scenes() -> None:
    card = _card()
    for needed in (
        "What the captions tell of that it was trained on, those of AudioCaps.",
        "from the training part of AudioCaps; neither saw a clip of the validation or test part",
        "100 % bridged audio embeddings of clips",
        "| data set | AudioCaps |",
        "| part bridge | clips 40, captions 200, unusable 3 |",
        "Measured on 40 clips.",
        "Ours.",
        "seldom or never name",
    ):
        assert needed in card
    for wrong in ("kinds of sound", "scenes", "/home/me"):
        assert wrong not in card


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            {"text": 1.0, "bridged": 0.0},
            "Zero-shot, for the decoder: it read captions and no audio. The bridge saw the clips",
        ),
        ({"text": 0.0, "bridged": 1.0}, "Supervised: bridge and decoder saw the clips with their captions.\n"),
        ({"text": 1.0, "bridged": 3.0}, "the decoder read captions alone, too"),
    ],
)
def test_it_says_what_the_decoder_saw(inputs: dict[str, float], said: str) -> None:
    assert said in _card(inputs)


def test_released_parts_are_named_with_their_licences() -> None:
    card = _card(encoder=_ENCODER)
    assert "The encoder is the released `laion/clap-htsat-unfused` at revision `def`, used as it is" in card
    assert "The encoder holds the weights of the released `laion/clap-htsat-unfused` at revision `def`: the licence" in card
    assert "an adapter (LoRA of rank 8, α 32, on q_proj, v_proj) was trained for it" in card
    assert (
        "The decoder holds the weights of the released `Qwen/Qwen2.5-1.5B-Instruct` at revision `abc`: the licence" in card
    )
    assert "The decoder names, and needs, the weights of" in _card(export={"language_model": "reference"})


@pytest.mark.parametrize(("tuning", "said"), [("full", "trained further"), ("frozen", "as they were released")])
def test_a_model_in_a_folder_is_named_without_its_place(tuning: str, said: str) -> None:
    model = {"kind": "pretrained", "source": "/home/me/SmolLM2", "revision": None, "tuning": tuning, "lora": {}}
    card = _card(model=model)
    assert "The language model is the released `SmolLM2`;" in card
    assert said in card
    assert "/home/me" not in card


def test_without_released_parts_nobody_elses_licence_is_named() -> None:
    card = _card(model={"hidden_size": 64})
    assert "The encoder is one that was not trained here, used as it is" in card
    assert "licence of its authors" not in card
