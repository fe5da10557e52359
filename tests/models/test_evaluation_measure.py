"""From captioned clips to a report whose every number is known beforehand; and the report as JSON, Markdown and tables."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from models.evaluation.clips import Captioned, Clips, caption_clips
from models.evaluation.measure import Measurements
from models.evaluation.report import Report, report_page
from models.evaluation.settings import EvaluateRecipe
from models.evaluation.texts import TextEmbedder
from tests.models.evaluation_fakes import PHRASES, SOUNDS, FakePipeline, unit

_RECIPE = EvaluateRecipe(seed=3, sample_captions=2)


def _captioned(truths: list[tuple[str, ...]], heard: list[str]) -> Captioned:
    rows = np.zeros((len(heard), 5))
    rows[range(len(heard)), [SOUNDS.index(sound) for sound in heard]] = 1
    rows[:, 4] = 1
    references = [tuple(" and ".join(PHRASES.get(sound, [sound])[0] for sound in truth) for _ in "ab") for truth in truths]
    ids = [f"clip {index}" for index in range(len(heard))]
    return caption_clips(FakePipeline(), Clips(ids, truths, references, unit(rows)), _RECIPE, lambda count: None)


@pytest.fixture(scope="module")
def report() -> Report:
    singles = _captioned([("low",), ("low",), ("high",), ("whale",)], ["low", "middle", "high", "low"])
    truths = [("low",), ("middle",), ("high",), ("low", "shrill")]
    scenes = _captioned(truths, ["low", "middle", "high", "shrill"])
    pipeline = FakePipeline()
    return Measurements(pipeline, TextEmbedder(pipeline.embed_texts), PHRASES, _RECIPE, singles, scenes).report("test")


def test_hearing_with_a_sound_that_the_table_lacks(report: Report) -> None:
    assert report.hearing.bridged.top_1 == 2 / 4
    assert report.hearing.bridged.top_5 == 3 / 4
    assert (report.hearing.raw.recordings, report.hearing.raw.sounds) == (4, 4)


def test_the_table_by_sound_is_in_order_of_names(report: Report) -> None:
    rows = {row.sound: row for row in report.by_sound}
    assert list(rows) == ["high", "low", "whale"]
    low = rows["low"]
    assert (low.recordings, low.right, low.right_in_5, low.right_raw, low.named) == (2, 1, 2, 1, 1)
    assert low.most_confused_with == "middle"
    assert (rows["whale"].right_in_5, rows["whale"].named, rows["whale"].most_confused_with) == (0, 0, "low")


def test_events_with_and_without_the_bridge(report: Report) -> None:
    assert report.events.singles.bridged.recall == 2 / 4
    assert report.events.singles.bridged.precision == 2 / 4
    assert report.events.scenes.bridged.recall == 4 / 5
    assert report.events.scenes.bridged.precision == 1.0
    # Without the bridge the fake writes of the next sound, and for scene 3 so comes to its other one.
    assert report.events.scenes.raw.recall == 1 / 5


def test_retrieval_of_scenes_by_their_first_captions(report: Report) -> None:
    assert report.retrieval.bridged.audio_to_text.r_at_5 == 1.0
    assert report.retrieval.bridged.text_to_audio.r_at_1 >= 3 / 4
    assert (report.retrieval.raw.pairs, report.retrieval.raw.distinct_captions) == (4, 4)


def test_captions_are_nearer_to_their_references_with_the_bridge(report: Report) -> None:
    for clips in (report.captions.singles, report.captions.scenes):
        assert clips.bridged.cider_d > clips.raw.cider_d
        assert clips.bridged.rouge_l > clips.raw.rouge_l


def test_the_bridge_closes_the_gap(report: Report) -> None:
    assert report.gap.bridged.as_is.paired_cosine.mean > report.gap.raw.as_is.paired_cosine.mean
    assert report.gap.bridged.as_is.centroid_distance.mean < 0.3 < report.gap.raw.as_is.centroid_distance.mean


def test_samples_are_drawn_by_the_seed_and_stand_beside_the_truth(report: Report) -> None:
    samples = report.samples.scenes
    assert len({sample.id for sample in samples}) == 2
    for sample in samples:
        index = int(sample.id.split()[1])
        assert sample.truth == [("low",), ("middle",), ("high",), ("low", "shrill")][index]
        assert sample.caption == PHRASES[SOUNDS[index]][0]
        assert sample.caption_raw == PHRASES[SOUNDS[(index + 1) % 4]][0]
    assert [sample.id for sample in samples] == [sample.id for sample in report.samples.singles]


def test_the_report_is_strict_json_that_reads_back(report: Report) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = report.model_dump_json()
    content = json.loads(text, parse_constant=refuse)
    keys = {"hearing", "retrieval", "events", "captions", "left_out", "gap", "samples", "by_sound"}
    assert keys < set(content)
    assert content["artifact"] == "fake 0"
    assert Report.model_validate_json(text) == report


def test_the_report_for_people_has_every_table(report: Report) -> None:
    text = report_page(report).markdown()
    assert "test split (4 single recordings, 4 scenes)" in text
    assert text.count("### ") == 8
    assert "| bridged | 50.0 % | 75.0 % | 50.0 % |" in text
    assert "| low | 2 | 1 | 2 | 1 | 1 | middle |" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1


def test_the_terminal_shows_the_same_tables(report: Report) -> None:
    output = io.StringIO()
    report_page(report).print(Console(file=output, width=200))
    for title in ("Naming the sound", "Retrieval among 4 scenes", "Modality gap", "By sound"):
        assert title in output.getvalue()


def test_a_caption_that_looks_like_markup_is_shown_as_it_is(report: Report) -> None:
    sample = report.samples.singles[0].model_copy(update={"caption": "[red]a | b"})
    samples = report.samples.model_copy(update={"singles": (sample,)})
    odd = report.model_copy(update={"samples": samples})
    output = io.StringIO()
    report_page(odd).print(Console(file=output, width=200))
    assert "[red]a | b" in output.getvalue()
    assert "[red]a \\| b" in report_page(odd).markdown()
