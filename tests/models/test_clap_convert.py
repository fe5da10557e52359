"""`convert clap`: releases of both kinds become folders that `load_clap` reads, or nothing is left behind."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from models.audio import SAMPLE_RATE_HZ, AudioLimits, cut_windows, decode_audio
from models.clap.convert import convert_clap
from models.clap.store import load_clap, save_clap
from models.errors import ArtifactError, SourceError
from tests.models.clap_releases import TEXTS, laion_state, write_laion, write_tokenizer, write_transformers
from tests.models.test_clap_encoder import make_encoder

_EXAMPLES = Path(__file__).parents[2] / "examples"
_RECORDINGS = sorted(path for path in _EXAMPLES.iterdir() if path.suffix in {".flac", ".mp3", ".ogg", ".wav"})


def _windows() -> np.ndarray:
    """The first ten seconds of each recording."""
    return np.stack([cut_windows(decode_audio(path.read_bytes(), AudioLimits()))[0] for path in _RECORDINGS])


def _left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("fused", [False, True])
def test_a_transformers_folder_embeds_as_transformers_does(tmp_path: Path, fused: bool) -> None:
    model, windows = write_transformers(tmp_path / "release", fused=fused), _windows()
    extractor = ClapFeatureExtractor.from_pretrained(tmp_path / "release")
    features = extractor(list(windows), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")["input_features"].float()
    assert features.shape[1] == (4 if fused else 1)
    # The extractor's own is_longer names one window at random.
    theirs = model.get_audio_features(features, is_longer=torch.zeros(len(windows), 1, dtype=torch.bool)).pooler_output
    tokens = AutoTokenizer.from_pretrained(tmp_path / "release")(TEXTS, padding=True, return_tensors="pt")
    texts = model.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output

    convert_clap(str(tmp_path / "release"), tmp_path / "clap")
    encoder = load_clap(tmp_path / "clap")
    ours = encoder.embed_audio(torch.from_numpy(windows))
    assert float((ours * theirs).sum(dim=1).min()) > 0.9999
    assert float((ours @ ours.T).min()) < 0.99
    assert float((encoder.embed_texts(TEXTS) * texts).sum(dim=1).min()) > 0.9999
    weights = tmp_path / "release" / "model.safetensors"
    assert json.loads((tmp_path / "clap" / "source.json").read_text()) == {
        "source": str(tmp_path / "release"),
        "revision": None,
        "format": "transformers",
        "sha256": {"model.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest()},
    }


@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_of_laions_is_converted(tmp_path: Path, fused: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_laion(tmp_path / "checkpoint.pt", laion_state(fused=fused))
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    convert_clap(str(path), tmp_path / "out" / "clap", tokenizer=str(tokenizer))
    assert _left(tmp_path / "out") == {"clap"}
    encoder = load_clap(tmp_path / "out" / "clap")
    assert encoder.is_fused == fused
    assert encoder.dim == 16
    assert encoder.embed_texts(TEXTS).isfinite().all()
    audio = encoder.embed_audio(torch.from_numpy(_windows()))
    assert float((audio @ audio.T).min()) < 0.99
    source = json.loads((tmp_path / "out" / "clap" / "source.json").read_text())
    assert source["format"] == "laion"
    assert source["sha256"] == {"checkpoint.pt": hashlib.sha256(path.read_bytes()).hexdigest()}
    said = capsys.readouterr().out
    assert f"audio tower HTSAT, {'fused' if fused else 'not fused'}, width 64" in said
    assert "not checked against laion-clap: it has no model of these sizes" in said


def test_weights_may_come_in_shards_and_halves(tmp_path: Path) -> None:
    write_transformers(tmp_path / "release")
    tensors = load_file(tmp_path / "release" / "model.safetensors")
    (tmp_path / "release" / "model.safetensors").unlink()
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for shard in range(2):
        part = dict(sorted(halves.items())[shard::2])
        save_file(part, tmp_path / "release" / f"model-0000{shard + 1}-of-00002.safetensors", metadata={"format": "pt"})
    convert_clap(str(tmp_path / "release"), tmp_path / "clap")
    assert load_clap(tmp_path / "clap").model.dtype == torch.float32
    assert len(json.loads((tmp_path / "clap" / "source.json").read_text())["sha256"]) == 2


def test_our_own_encoders_are_a_source_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_clap(make_encoder("cnn"), tmp_path / "release")
    (tmp_path / "clap").mkdir()
    convert_clap(str(tmp_path / "release"), tmp_path / "clap")
    assert torch.equal(load_clap(tmp_path / "clap").embed_texts(TEXTS), make_encoder("cnn").embed_texts(TEXTS))
    assert "audio tower CNN" in capsys.readouterr().out


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    write_transformers(tmp_path / "release")
    (tmp_path / "clap").mkdir()
    (tmp_path / "clap" / "mine").touch()
    with pytest.raises(SourceError, match="is not an empty folder"):
        convert_clap(str(tmp_path / "release"), tmp_path / "clap")
    with pytest.raises(SourceError, match="is not an empty folder"):
        convert_clap(str(tmp_path / "release"), tmp_path / "clap" / "mine")
    assert _left(tmp_path / "clap") == {"mine"}


def _only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _edit_json(name: str, key: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | {key: value}))

    return edit


@pytest.mark.parametrize(
    ("damage", "error", "reason"),
    [
        (_only_pickled, SourceError, "holds no safetensors, and pickled weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), SourceError, "not a readable safetensors file"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(b"{"), SourceError, "cannot load the tokenizer"),
        (lambda folder: (folder / "config.json").unlink(), ArtifactError, "config.json: cannot be read"),
        (_edit_json("config.json", "model_type", "bert"), ArtifactError, "not the configuration of a CLAP model"),
        (_edit_json("config.json", "projection_dim", "wide"), SourceError, "config.json: transformers cannot use it"),
        (_edit_json("config.json", "projection_dim", 24), SourceError, r"linear1.bias has shape \(16,\), expected \(24,\)"),
        (_edit_json("config.json", "projection_dim", -1), SourceError, "cannot build a CLAP of its sizes"),
        (_edit_json("preprocessor_config.json", "sampling_rate", 16000), ArtifactError, "sampling_rate is 16000"),
        (lambda folder: write_tokenizer_of_bert(folder), SourceError, "the tokenizer is not the text tower's"),
    ],
)
def test_a_folder_at_fault_is_refused_and_leaves_nothing(
    tmp_path: Path, damage: Callable[[Path], object], error: type[Exception], reason: str
) -> None:
    write_transformers(tmp_path / "release")
    damage(tmp_path / "release")
    with pytest.raises(error, match=reason):
        convert_clap(str(tmp_path / "release"), tmp_path / "out" / "clap")
    assert not (tmp_path / "out").exists()


def write_tokenizer_of_bert(folder: Path) -> None:
    """Another padding token is another tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.unk_token
    tokenizer.save_pretrained(folder)


def test_options_that_do_not_go_with_the_source_are_refused(tmp_path: Path) -> None:
    write_transformers(tmp_path / "release")
    with pytest.raises(SourceError, match="is for checkpoints of LAION's"):
        convert_clap(str(tmp_path / "release"), tmp_path / "clap", trusted_sha256="0" * 64)
    path = write_laion(tmp_path / "checkpoint.pt", laion_state())
    with pytest.raises(SourceError, match="is a file, which has no revision 'main'"):
        convert_clap(str(path), tmp_path / "clap", revision="main")
    with pytest.raises(SourceError, match="not the file that is trusted"):
        convert_clap(str(path), tmp_path / "clap", trusted_sha256="0" * 64)


@pytest.mark.parametrize("agreement", [(0.9998, 1.0), (1.0, float("nan"))])
def test_a_conversion_with_which_laion_clap_disagrees_is_refused(
    tmp_path: Path, agreement: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.clap.convert.laion_agreement", lambda *_: agreement)
    path = write_laion(tmp_path / "checkpoint.pt", laion_state())
    with pytest.raises(SourceError, match="laion-clap embeds otherwise"):
        convert_clap(str(path), tmp_path / "clap", tokenizer=str(write_tokenizer(tmp_path / "tokenizer")))
    assert not (tmp_path / "clap").exists()


def test_a_killed_write_leaves_the_place_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_transformers(tmp_path / "release")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("models.clap.convert.load_clap", fail)
    with pytest.raises(KeyboardInterrupt):
        convert_clap(str(tmp_path / "release"), tmp_path / "clap")
    assert _left(tmp_path) == {"release"}


def test_the_model_of_transformers_reads_what_was_written(tmp_path: Path) -> None:
    path = write_laion(tmp_path / "checkpoint.pt", laion_state())
    convert_clap(str(path), tmp_path / "clap", tokenizer=str(write_tokenizer(tmp_path / "tokenizer")))
    model = ClapModel.from_pretrained(tmp_path / "clap")
    assert torch.equal(model.text_projection.linear1.weight, laion_state()["text_projection.0.weight"])
