"""`diffusion-link plan`: sizes in words, the table, and the budgets that serving takes."""

import json
from pathlib import Path

import pytest

from app import cli
from app.command_plan import parse_bytes, plan
from app.settings import ServiceSettings
from models.budgets import Cost, WritingCost
from models.errors import DeviceMemoryError
from models.pipeline import MemoryPlan, Part, Pipeline

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_PLAN = MemoryPlan(
    encoder=Part(153_000_000, 600 * _MIB),
    bridge=Part(2_000_000, 8 * _MIB),
    decoder=Part(1_500_000_000, 3 * _GIB),
    window=Cost(0, 100 * _MIB),
    text=Cost(0, 12 * _MIB),
    embedding=Cost(0, 64 * _KIB),
    writing=WritingCost(4, Cost(0, 5 * _MIB), 32 * _KIB),
)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """These figures; `tests/models/test_plan.py` is about real ones."""
    monkeypatch.setattr(Pipeline, "plan", lambda _: _PLAN)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize(
    ("text", "count"),
    [("24GiB", 24 * 2**30), ("1.5 gib", 3 * 2**29), ("80GB", 80 * 10**9), ("512 MiB", 2**29), ("1000", 1_000), ("7B", 7)],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "24 GXB", "-1GiB", "1e9", "24GiB or so", "nan", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 24GiB"):
        parse_bytes(text)


def _settings(artifact: Path, **others: object) -> ServiceSettings:
    return ServiceSettings(artifact=artifact, device="cpu", **others)


def test_the_plan_of_a_gpu_is_in_bfloat16(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(_settings(tiny_artifact), 24 * 2**30) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert "tiny 1, measured on cpu" in lines[0]
    for row in (
        "encoder bf16 153.0 M 600.0 MiB 100.0 MiB window of 10 s",
        "12.0 MiB longest text",
        "bridge fp32 2.0 M 8.0 MiB 64.0 KiB embedding",
        "decoder bf16 1,500.0 M 3.0 GiB 5.0 MiB sequence",
        "32.0 KiB token of it",
        "together 3.6 GiB",
    ):
        assert row in [" ".join(line.replace("│", " ").split()) for line in lines], out
    assert "On a GPU with 24.0 GiB: embed_max_batch_cost 64 windows, write_max_batch_cost 8192 tokens" in out
    assert "at most 256 captions of 32 tokens at once" in out


def test_the_plan_of_a_cpu_is_what_serving_does_there(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(_settings(tiny_artifact), None) == 0
    out = capsys.readouterr().out
    assert "bf16" not in out
    assert "On cpu: embed_max_batch_cost 8 windows, write_max_batch_cost 1024 tokens; at most 64 captions" in out


def test_settings_come_first(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = _settings(tiny_artifact, embed_max_batch_cost=3, write_max_batch_cost=99, precision="fp32", compile=True)
    assert plan(settings, 24 * 2**30) == 0
    out = capsys.readouterr().out
    assert "embed_max_batch_cost 3 windows, write_max_batch_cost 99 tokens" in out
    assert "bf16" not in out


def test_a_gpu_with_less_memory_has_smaller_batches(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(_settings(tiny_artifact), 8 * 2**30) == 0
    # Of 8 GiB, 0.9 are ours less half a GiB for CUDA and 3.6 GiB of weights: 1.6 GiB for each of two stages.
    out = capsys.readouterr().out
    assert "embed_max_batch_cost 15 windows, write_max_batch_cost 2112 tokens; at most 66 captions of 32 tokens" in out


def test_a_gpu_that_is_too_small(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceMemoryError, match=r"0\.25 GiB of device memory are too little"):
        plan(_settings(tiny_artifact), 2**28)
    assert "decoder" in capsys.readouterr().out, "the table says why"


def test_flags(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["plan", "--artifact", str(tiny_artifact), "--device", "cpu", "--device-memory"]
    assert cli.main([*flags, "24GiB", "--precision", "fp32"]) == 0
    assert "bf16" not in capsys.readouterr().out
    assert cli.main([*flags, "a lot"]) == 2
    assert capsys.readouterr().err == "diffusion-link: --device-memory: 'a lot' is not a size such as 24GiB\n"
    assert cli.main([*flags, "1MiB"]) == 2
    assert capsys.readouterr().err.startswith("diffusion-link: 0.00 GiB of device memory are too little: the weights take")


def test_objects_for_programs(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["plan", "--artifact", str(tiny_artifact), "--device", "cpu", "--json"]
    assert cli.main([*flags, "--device-memory", "24GiB"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    networks = said.pop("networks")
    assert said == {
        "artifact": "tiny 1",
        "measured_on": "cpu",
        "weight_bytes": 608 * _MIB + 3 * _GIB,
        "device_memory_bytes": 24 * _GIB,
        "embed_max_batch_cost": 64,
        "write_max_batch_cost": 8_192,
        "captions_at_once": 256,
    }
    assert [network["network"] for network in networks] == ["encoder", "bridge", "decoder"]
    assert networks[0] == {
        "network": "encoder",
        "precision": "bf16",
        "parameters": 153_000_000,
        "weight_bytes": 600 * _MIB,
        "activation_bytes": {"window of 10 s": 100 * _MIB, "longest text": 12 * _MIB},
    }
    assert cli.main(flags) == 0
    assert json.loads(capsys.readouterr().out)["device_memory_bytes"] is None
    assert cli.main([*flags, "--device-memory", "1MiB"]) == 2
    assert capsys.readouterr().out == "", "an object that is not whole is none"


def test_on_a_narrow_terminal_no_figure_is_lost(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert plan(_settings(tiny_artifact), 24 * 2**30) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert max(map(len, rows)) <= 40
    assert "…" not in "".join(rows)
    parameters = "".join(row.split("│")[3].replace(" ", "") for row in rows)
    assert parameters == "153.0M2.0M1,500.0M"
