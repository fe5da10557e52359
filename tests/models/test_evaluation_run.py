"""The whole evaluation of a tiny artifact, and where its reports go."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import RecipeError, TrainingError
from models.evaluation.run import evaluate
from models.evaluation.settings import EvaluateRecipe
from models.training.corpus import CorpusRecipe
from models.training.datasets import DATA_PARTS, BadClip, Clip, write_listed
from models.training.manifest import ManifestRecipe
from models.training.recipe import Recipe
from tests.models.evaluation_fakes import TONES_HZ, write_tone

_TABLE = """sound,kind,phrases
low,thing,a dog barks;a dog closes
middle,thing,a cat is falling
high,thing,a bell closes
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A corpus of four recordings, one of a sound that the table lacks, and six scenes, the same in both splits."""
    corpus = tmp_path / "work" / "corpus"
    corpus.mkdir(parents=True)
    (tmp_path / "sounds.csv").write_text(_TABLE, encoding="utf-8")
    files = {sound: write_tone(tmp_path / f"{sound}.wav", sound) for sound in TONES_HZ}
    lines = []
    for split in ("validation", "test"):
        (corpus / split).mkdir()
        log_mel = np.random.default_rng(0).uniform(-80, 0, (6, 1001, 64)).astype(np.float16)
        np.save(corpus / split / "log_mel.npy", log_mel)
        scenes = [
            {"id": f"{split}-{index}", "sounds": ["low"], "layout": "single", "captions": [f"a dog barks {index % 5}"]}
            for index in range(6)
        ]
        (corpus / split / "scenes.jsonl").write_text(_lines(scenes), encoding="utf-8")
        lines += [{"sound": sound, "split": split, "path": str(path)} for sound, path in files.items()]
    (corpus / "recordings.jsonl").write_text(_lines(lines), encoding="utf-8")
    return tmp_path / "work"


def _lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _recipe(work: Path) -> Recipe:
    corpus = CorpusRecipe(
        sounds=work.parent / "sounds.csv",
        recordings=work.parent / "recordings.csv",
        encoder_scenes=1,
        bridge_scenes=1,
        validation_scenes=6,
        test_scenes=6,
    )
    section = EvaluateRecipe(max_new_tokens=8, gap_seeds=2, embed_batch_size=4, caption_batch_size=4)
    return Recipe.model_construct(corpus=corpus, evaluate=section)


def test_a_report_is_printed_and_written_and_the_same_again(
    work: Path, tiny_artifact: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(_recipe(work), work, tiny_artifact, "cpu")
    printed = capfd.readouterr().out
    assert "Naming the sound of 4 single recordings among 3" in printed
    assert "By sound" in printed
    text = (work / "evaluation" / "report.json").read_text(encoding="utf-8")
    report = json.loads(text)
    assert (report["split"], report["singles"], report["scenes"]) == ("test", 4, 6)
    assert report["retrieval"]["raw"]["distinct_captions"] == 5
    assert report["gap"]["raw"]["as_is"]["paired_cosine"]["sd"] == 0.0
    assert report["gap"]["bridged"]["as_is"]["paired_cosine"]["sd"] > 0.0
    assert [row["sound"] for row in report["by_sound"]] == ["high", "low", "middle", "shrill"]
    assert (work / "evaluation" / "report.md").read_text(encoding="utf-8").startswith("Measured on the test split")
    evaluate(_recipe(work), work, tiny_artifact, "cpu")
    assert (work / "evaluation" / "report.json").read_text(encoding="utf-8") == text
    assert sorted(path.name for path in work.iterdir()) == ["corpus", "evaluation"]


def test_the_validation_split_never_takes_the_place_of_the_test_report(work: Path, tiny_artifact: Path) -> None:
    evaluate(_recipe(work), work, tiny_artifact, "cpu", "validation")
    assert not (work / "evaluation").exists()
    report = json.loads((work / "evaluation-validation" / "report.json").read_text(encoding="utf-8"))
    assert report["split"] == "validation"


def _list_tones(tmp_path: Path, work: Path) -> Recipe:
    """Four tones as the clips of a data set, and one that cannot be decoded, in place of the scenes."""
    shutil.rmtree(work / "corpus")
    (tmp_path / "broken.wav").write_bytes(b"text")
    clips = [Clip("broken", tmp_path / "broken.wav", ("nothing",))]
    clips += [Clip(sound, tmp_path / f"{sound}.wav", (f"a dog {sound}", f"rain {sound}")) for sound in TONES_HZ]
    for part in DATA_PARTS:
        write_listed(work / "corpus" / part, clips, [BadClip("gone", "there is no audio file of it")])
    section = EvaluateRecipe(max_new_tokens=8, gap_seeds=2)
    return Recipe(data=ManifestRecipe(kind="manifest", folder=tmp_path, max_bad_share=0.4), evaluate=section)


def test_the_clips_of_a_data_set_are_measured(tmp_path: Path, work: Path, tiny_artifact: Path) -> None:
    recipe = _list_tones(tmp_path, work)
    evaluate(recipe, work, tiny_artifact, "cpu")
    report = json.loads((work / "evaluation" / "report.json").read_text(encoding="utf-8"))
    assert (report["data"], report["clips"], report["unusable"]) == ("manifest", 4, 2)
    assert report["captions"]["bridged"]["reference_vocabulary"] == 7
    text = (work / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("Measured on 4 clips of the test split (manifest)")
    assert "By sound" not in text


def test_a_data_set_with_too_many_bad_clips_is_not_measured(tmp_path: Path, work: Path, tiny_artifact: Path) -> None:
    recipe = _list_tones(tmp_path, work)
    assert recipe.data is not None
    strict = recipe.model_copy(update={"data": recipe.data.model_copy(update={"max_bad_share": 0.2})})
    with pytest.raises(RecipeError, match="2 of 6 clips cannot be used"):
        evaluate(strict, work, tiny_artifact, "cpu")
    assert not (work / "evaluation").exists()


def test_without_a_corpus_there_is_nothing_to_measure(work: Path, tiny_artifact: Path) -> None:
    with pytest.raises(TrainingError, match="corpus is missing"):
        evaluate(_recipe(work), work / "elsewhere", tiny_artifact, "cpu")
