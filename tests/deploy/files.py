"""The files that deploy the service, read."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_yaml(path: str) -> Any:
    """A YAML file of the repository, merge keys resolved."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def alerts() -> list[dict[str, Any]]:
    """The alert rules."""
    (group,) = read_yaml("deploy/alerts.yml")["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, without the headings of its rows."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]
