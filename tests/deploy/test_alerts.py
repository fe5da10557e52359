"""Alert rules: promtool's own tests of them, and that every alert has some."""

import subprocess

import pytest

from tests.deploy.files import DEPLOY, alerts, read_yaml
from tests.programs import debian_program


def _promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [debian_program("promtool"), *arguments]
    return subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)


def test_every_alert_fires_and_is_silent_when_it_should() -> None:
    tested = _promtool("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alerts()])
def test_no_alert_can_be_lost_without_a_failing_test(alert: str) -> None:
    """Every alert is expected to fire somewhere."""
    expected = str(
        [
            (case.get("exp_samples"), case.get("exp_alerts") and case["alertname"])
            for group in read_yaml("deploy/alerts_test.yml")["tests"]
            for case in [*group.get("promql_expr_test", []), *group.get("alert_rule_test", [])]
        ]
    )
    assert f'"{alert}"' in expected or f"'{alert}'" in expected


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
