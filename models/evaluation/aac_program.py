"""What `aac` runs in the Python that has aac-metrics; it imports nothing of this project, which is not installed there.

Reads {"metrics": ["spice", ..], "sets": [{"captions": [..], "references": [[..], ..]}, ..]} from its standard input and
prints {"spice": {"figures": [a number a set]} or {"reason": "why not"}, ..}.
"""

import importlib
import json
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_CLASSES = {"spice": "SPICE", "fense": "FENSE"}
# aac-metrics waits for SPICE for ever unless it is told otherwise.
_SETTINGS: dict[str, dict[str, Any]] = {"spice": {"timeout": 3000}, "fense": {}}


def main() -> None:
    """Answer one question."""
    # Metrics, and what they load, may print: only the answer must stand in the output.
    output, sys.stdout = sys.stdout, sys.stderr
    question = json.load(sys.stdin)
    answers = {name: _measure(name, question["sets"]) for name in question["metrics"]}
    json.dump(answers, output)


def _measure(name: str, sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    module = importlib.import_module(f"aac_metrics.classes.{name}")
    try:
        metric = getattr(module, _CLASSES[name])(return_all_scores=False, **_SETTINGS[name])
        return {"figures": [float(metric(one["captions"], one["references"])) for one in sets]}
    except OSError:
        # A missing file, or a download that `_refuse` has stopped.
        return {"reason": "its files are not here: aac-metrics-download fetches them"}
    except Exception as error:
        # Whatever else it is: one metric must not take the others with it.
        return {"reason": f"aac-metrics failed: {type(error).__name__}: {error}".splitlines()[0]}


def _refuse(*_: Any) -> NoReturn:
    raise OSError("an evaluation downloads nothing")


if __name__ == "__main__":
    # Here lie modules of this project, some under names that others use too.
    del sys.path[0]
    socket.socket.connect = _refuse  # type: ignore[method-assign]
    main()
