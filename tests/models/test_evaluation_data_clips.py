"""A data set's clips: heard as the service hears them, what cannot be decoded counted, and every number of the report."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.errors import RecipeError, TrainingError
from models.evaluation.clips import Clips, caption_clips
from models.evaluation.data_clips import check_unusable, listen_to_data, measure_data, read_data_clips
from models.evaluation.data_report import DataReport, data_report_page
from models.evaluation.settings import EvaluateRecipe
from models.evaluation.texts import TextEmbedder
from models.training.datasets import BadClip, Clip, write_listed
from models.training.manifest import ManifestRecipe
from tests.models.evaluation_fakes import PHRASES, SOUNDS, FakePipeline, unit, write_tone

_RECIPE = EvaluateRecipe(seed=3, sample_captions=2)


_REFERENCES = [text for texts in PHRASES.values() for text in texts]


def _clips(folder: Path) -> list[Clip]:
    return [Clip(sound, write_tone(folder / f"{sound}.wav", sound), tuple(PHRASES[sound])) for sound in SOUNDS]


def _nobody(count: int) -> None:
    pass


def test_clips_are_read_as_they_were_listed(tmp_path: Path) -> None:
    write_listed(tmp_path / "test", _clips(tmp_path), [])
    assert [clip.id for clip in read_data_clips(tmp_path, "test")] == SOUNDS
    (tmp_path / "low.wav").write_bytes(b"another")
    with pytest.raises(TrainingError, match=r"low\.wav is not what was listed"):
        read_data_clips(tmp_path, "test")


def test_what_cannot_be_decoded_is_left_out_and_the_rest_keeps_its_captions(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_bytes(b"text")
    broken = Clip("broken", tmp_path / "text.wav", ("no sound",))
    gone = Clip("gone", tmp_path / "gone.wav", ("nothing",))
    low, middle, high, shrill = _clips(tmp_path)
    done: list[int] = []
    clips, bad = listen_to_data(FakePipeline(), [broken, low, middle, gone, high, shrill], 2, done.append)
    assert [one.id for one in bad] == ["broken", "gone"]
    assert clips.ids == SOUNDS
    assert clips.references == [tuple(PHRASES[sound]) for sound in SOUNDS]
    assert clips.raw[:, :4].argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert sum(done) == 6


def test_a_split_that_is_almost_all_broken_is_refused(tmp_path: Path) -> None:
    clips = _clips(tmp_path)
    clips[0].audio.write_bytes(b"text")
    with pytest.raises(TrainingError, match=r"3 of 4 clips can be decoded.*needs 4 \(low: low\.wav: not a WAV"):
        listen_to_data(FakePipeline(), clips, 2, _nobody)
    for clip in clips:
        clip.audio.write_bytes(b"text")
    with pytest.raises(TrainingError, match="0 of 4 clips can be decoded"):
        listen_to_data(FakePipeline(), clips, 2, _nobody)
    with pytest.raises(TrainingError, match=r"0 of 0 clips can be decoded; an evaluation needs 4$"):
        listen_to_data(FakePipeline(), [], 2, _nobody)


def test_missing_and_broken_clips_count_together_against_the_bound(tmp_path: Path) -> None:
    write_listed(tmp_path / "test", _clips(tmp_path), [BadClip("a", "missing"), BadClip("b", "missing")])
    recipe = ManifestRecipe(kind="manifest", folder=tmp_path, max_bad_share=0.5)
    assert check_unusable(recipe, tmp_path, "test", 4, [BadClip("c", "broken")]) == 3
    with pytest.raises(RecipeError, match="4 of 6 clips cannot be used"):
        check_unusable(recipe, tmp_path, "test", 4, [BadClip("c", "broken"), BadClip("d", "broken")])


@pytest.fixture(scope="module")
def report() -> DataReport:
    pipeline = FakePipeline()
    rows = np.column_stack([np.eye(4), np.ones(4)])
    clips = Clips(SOUNDS, [()] * 4, [tuple(PHRASES[sound]) for sound in SOUNDS], unit(rows))
    captioned = caption_clips(pipeline, clips, _RECIPE, _nobody)
    texts = TextEmbedder(pipeline.embed_texts)
    return measure_data(pipeline, texts, _RECIPE, captioned, "validation", data="clotho", unusable=2)


def test_every_figure_is_there_with_and_without_the_bridge(report: DataReport) -> None:
    assert (report.split, report.data, report.clips, report.unusable) == ("validation", "clotho", 4, 2)
    assert report.captions.bridged.bleu_1 == pytest.approx(1.0)
    assert report.captions.bridged.cider_d > report.captions.raw.cider_d
    assert report.captions.bridged.reference_vocabulary == len({word for text in _REFERENCES for word in text.split()})
    assert report.retrieval.bridged.audio_to_text.r_at_1 >= 3 / 4
    assert report.gap.bridged.as_is.paired_cosine.mean > report.gap.raw.as_is.paired_cosine.mean
    assert list(report.left_out) == ["meteor", "spice", "spider", "fense"]


def test_samples_stand_beside_their_own_reference(report: DataReport) -> None:
    assert len({sample.id for sample in report.samples}) == 2
    for sample in report.samples:
        following = SOUNDS[(SOUNDS.index(sample.id) + 1) % 4]
        assert (sample.reference, sample.caption) == (PHRASES[sample.id][0],) * 2
        assert (sample.caption_raw, sample.score) == (PHRASES[following][0], 0.9)


def test_raw_audio_is_compared_with_texts_of_its_own(report: DataReport) -> None:
    pipeline = FakePipeline()
    clips = Clips(
        SOUNDS, [()] * 4, [tuple(PHRASES[sound]) for sound in SOUNDS], unit(np.column_stack([np.eye(4), np.ones(4)]))
    )
    captioned = caption_clips(pipeline, clips, _RECIPE, _nobody)
    apart = TextEmbedder(pipeline.embed_texts, lambda texts: -pipeline.embed_texts(texts))
    other = measure_data(pipeline, apart, _RECIPE, captioned, "validation", data="clotho", unusable=2)
    assert other.gap.bridged == report.gap.bridged
    assert other.gap.raw.as_is.paired_cosine.mean == pytest.approx(-report.gap.raw.as_is.paired_cosine.mean)
    assert other.retrieval.bridged == report.retrieval.bridged
    assert other.retrieval.raw.audio_to_text.r_at_1 < report.retrieval.raw.audio_to_text.r_at_1


def test_the_report_reads_back_and_people_get_every_table(report: DataReport) -> None:
    text = report.model_dump_json()
    assert DataReport.model_validate_json(text) == report
    assert not {"hearing", "events", "by_sound"} & set(json.loads(text))
    page = data_report_page(report)
    assert page.head.startswith("Measured on 4 clips of the validation split (clotho) with fake 0 on nowhere, seed 3.")
    assert "2 more are missing or cannot be decoded." in page.head
    assert "Left out: METEOR (not in this test)" in page.head
    titles = (
        "Retrieval among 4 clips",
        "Captions against their references",
        "Modality gap between clips",
        "Captions of clips",
    )
    assert all(table.title.startswith(title) for table, title in zip(page.tables, titles, strict=True))
    output = io.StringIO()
    page.print(Console(file=output, width=200))
    assert report.samples[0].caption in output.getvalue()
    whole = data_report_page(report.model_copy(update={"unusable": 0, "left_out": {}})).head
    assert "missing" not in whole
    assert "Left out" not in whole
