"""`diffusion-link plan`: what an artifact's networks and batches take of a device's memory, and how large batches may be."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from app.loading import load_pipeline
from app.output import print_json, table_console
from app.settings import ServiceSettings
from models.pipeline import USUAL_TOKENS, Budgets, MemoryPlan, Part, Pipeline

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([KMG]I?B|B)?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Read a size such as 24GiB, 512 MB or 1073741824.

    Raises:
        ValueError: it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 24GiB")
    return int(float(match[1]) * _UNITS[(match[2] or "B").upper()])


def plan(settings: ServiceSettings, device_memory: int | None, *, as_json: bool = False) -> int:
    """Print the plan; returns the exit status.

    With `device_memory` it is that of a GPU of such a size, in bf16 unless the settings say otherwise; without, that of the
    settings' device.

    Raises:
        ArtifactError: the artifact cannot be used.
        DeviceError: the device is not there, or the networks do not fit into its memory.
    """
    changed: dict[str, object] = {"compile": False}
    if device_memory is not None and settings.precision == "auto":
        changed["precision"] = "bf16"
    pipeline = load_pipeline(settings.model_copy(update=changed))
    measured = pipeline.plan()
    stages = _stages(pipeline, measured)
    if not as_json:
        # Before the budgets: where the networks do not fit, the table says why.
        table_console().print(_table(pipeline, measured, stages))
    budgets = pipeline.budgets if device_memory is None else measured.budgets(device_memory)
    if as_json:
        print_json(_json(settings, pipeline, stages, budgets, device_memory))
    else:
        device = pipeline.device_name if device_memory is None else f"a GPU with {_size(device_memory)}"
        table_console().print(_summary(settings, budgets, device), highlight=False, soft_wrap=True)
    return 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """A network, and what each item of a batch takes while it computes."""

    network: str
    precision: str
    parameters: int
    weight_bytes: int
    activation_bytes: dict[str, int]


def _stages(pipeline: Pipeline, measured: MemoryPlan) -> list[_Stage]:
    facts, writing = pipeline.describe(), measured.writing
    stages: list[tuple[str, Part, dict[str, int]]] = [
        ("encoder", measured.encoder, {"window of 10 s": measured.window.each, "longest text": measured.text.each}),
        ("bridge", measured.bridge, {"embedding": measured.embedding.each}),
        ("decoder", measured.decoder, {"sequence": writing.sequence.each, "token of it": writing.token}),
    ]
    return [_Stage(name, facts[name]["precision"], part.parameters, part.weight_bytes, each) for name, part, each in stages]


def _table(pipeline: Pipeline, measured: MemoryPlan, stages: Sequence[_Stage]) -> Table:
    """A line for all that a network computes."""
    manifest = pipeline.manifest
    table = Table(title=f"{manifest.name} {manifest.version}, measured on {pipeline.device_name}")
    for name in ("Network", "Precision"):
        table.add_column(name, overflow="fold")
    for name in ("Parameters", "Weights", "Activations"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("of a", overflow="fold")
    for stage in stages:
        head = [stage.network, stage.precision, f"{stage.parameters / 1e6:,.1f} M", _size(stage.weight_bytes)]
        for item, each in stage.activation_bytes.items():
            table.add_row(*head, _size(each), item)
            head = [""] * len(head)
    table.add_section()
    table.add_row("together", "", "", _size(measured.weight_bytes))
    return table


def _json(
    settings: ServiceSettings, pipeline: Pipeline, stages: Sequence[_Stage], budgets: Budgets, device_memory: int | None
) -> dict[str, object]:
    return {
        "artifact": f"{pipeline.manifest.name} {pipeline.manifest.version}",
        "measured_on": pipeline.device_name,
        "networks": [asdict(stage) for stage in stages],
        "weight_bytes": sum(stage.weight_bytes for stage in stages),
        "device_memory_bytes": device_memory,
        "embed_max_batch_cost": settings.embed_max_batch_cost or budgets.windows,
        "write_max_batch_cost": settings.write_max_batch_cost or budgets.tokens,
        "captions_at_once": budgets.captions_at_once(1, USUAL_TOKENS),
    }


def _summary(settings: ServiceSettings, budgets: Budgets, device: str) -> str:
    """The budgets that serving takes on a device, where the settings do not say others."""
    captions = budgets.captions_at_once(1, USUAL_TOKENS)
    return (
        f"On {device}: embed_max_batch_cost {settings.embed_max_batch_cost or budgets.windows} windows, "
        f"write_max_batch_cost {settings.write_max_batch_cost or budgets.tokens} tokens; "
        f"at most {captions} captions of {USUAL_TOKENS} tokens at once.\n"
        "A caption has as many sequences as beams, or as candidates but one if those are more."
    )


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
