"""The compose file against the Compose specification, the service, and what it mounts."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.settings import ServiceSettings
from tests.deploy.files import ROOT, read_yaml
from tests.programs import linter

PORT = ServiceSettings.model_fields["port"].default
KEYS_FILE = "deploy/compose.keys.yml"
SERVICES = ["captioner", "captioner-cpu", "prometheus", "grafana"]


@pytest.fixture
def compose() -> dict[str, Any]:
    content = read_yaml("docker-compose.yml")
    assert isinstance(content, dict)
    return content


def _validated(path: str) -> "subprocess.CompletedProcess[str]":
    command = [linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", ["docker-compose.yml", KEYS_FILE])
def test_the_file_is_what_the_compose_specification_says(path: str) -> None:
    validated = _validated(path)
    assert validated.returncode == 0, validated.stdout


def test_the_specification_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    wrong = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").replace("cap_drop", "cap_dorp")
    (tmp_path / "compose.yml").write_text(wrong, encoding="utf-8")
    assert "cap_dorp" in _validated(str(tmp_path / "compose.yml")).stdout


def test_compose_reserves_a_gpu_for_the_default_service_only(compose: dict[str, Any]) -> None:
    services = compose["services"]
    (device,) = services["captioner"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "profiles" not in services["captioner"]
    assert "deploy" not in services["captioner-cpu"]
    assert services["captioner-cpu"]["profiles"] == ["cpu"]


def test_compose_builds_torch_for_cuda_and_for_the_cpu(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["captioner"]["build"]["args"] == {"TORCH_INDEX": ""}
    assert "args" not in services["captioner-cpu"]["build"]
    assert "\nARG TORCH_INDEX=https://download.pytorch.org/whl/cpu\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert services["captioner"]["image"] != services["captioner-cpu"]["image"]


def test_only_the_service_can_be_opened_to_the_network(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items()}
    service = [f"${{BIND_ADDRESS:-127.0.0.1}}:{PORT}:{PORT}"]
    own = {"prometheus": ["127.0.0.1:9090:9090"], "grafana": ["127.0.0.1:3000:3000"]}
    assert ports == {"captioner": service, "captioner-cpu": service} | own


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_bounded(compose: dict[str, Any], name: str) -> None:
    assert list(compose["services"]) == SERVICES
    service = compose["services"][name]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"pids_limit", "mem_limit", "cpus"} <= service.keys()
    assert not {"privileged", "user", "network_mode", "pid", "cap_add"} & service.keys()
    assert all(mount.endswith(":ro") for mount in service["volumes"] if mount.startswith((".", "$")))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    if "build" in service:  # The image's own, which tests/test_deploy.py runs.
        assert "healthcheck" not in service
        return
    (port,) = service["ports"]
    url = service["healthcheck"]["test"][-1]
    assert url.startswith(f"http://127.0.0.1:{port.split(':')[-1]}/")


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_images_of_others_are_pinned(compose: dict[str, Any], name: str) -> None:
    version = compose["services"][name]["image"].split(":")[1].removeprefix("v")
    assert len([int(part) for part in version.split(".")]) == 3


def test_every_mounted_file_is_there(compose: dict[str, Any]) -> None:
    mounts = [mount.split(":") for name in ("prometheus", "grafana") for mount in compose["services"][name]["volumes"]]
    assert len(mounts) == 6
    assert [source for source, *_ in mounts if not source.startswith("./")] == list(compose["volumes"])
    assert all((ROOT / source).is_file() for source, *_ in mounts if source.startswith("./"))


def test_without_keys_prometheus_has_an_empty_secret(compose: dict[str, Any]) -> None:
    assert (ROOT / compose["secrets"]["prometheus_key"]["file"]).read_bytes() == b""
    assert [name for name in SERVICES if "secrets" in compose["services"][name]] == ["prometheus"]


@pytest.mark.parametrize("name", ["captioner", "captioner-cpu"])
def test_with_keys_the_service_reads_them_and_prometheus_sends_one(compose: dict[str, Any], name: str) -> None:
    keys = read_yaml(KEYS_FILE)
    assert keys["services"][name] == {
        "environment": {"DIFFUSION_LINK_API_KEYS_FILE": "/run/secrets/api_keys"},
        "secrets": ["api_keys"],
    }
    assert keys["services"].keys() == {"captioner", "captioner-cpu"}
    assert set(keys["secrets"]) == {"api_keys", *compose["secrets"]}
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for secret in keys["secrets"].values():
        assert f"/{secret['file'].split('/')[1]}/" in ignored


@pytest.mark.parametrize("name", ["captioner", "captioner-cpu"])
def test_compose_sets_only_settings_that_the_service_has(compose: dict[str, Any], name: str) -> None:
    prefix = ServiceSettings.model_config["env_prefix"]
    values = {key.removeprefix(prefix).lower(): value for key, value in compose["services"][name]["environment"].items()}
    settings = ServiceSettings(**values)
    assert values == settings.model_dump(mode="json", include=set(values))
    grace_s = float(compose["services"][name]["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_timeout_s


@pytest.mark.parametrize("name", ["captioner", "captioner-cpu"])
def test_compose_mounts_the_artifact_that_it_serves_for_reading_alone(compose: dict[str, Any], name: str) -> None:
    (mount,) = compose["services"][name]["volumes"]
    source, inside, mode = mount.removeprefix("${ARTIFACT:-").replace("}", "").split(":")
    assert (ROOT / source / "artifact.json").is_file()
    assert inside == compose["services"][name]["environment"]["DIFFUSION_LINK_ARTIFACT"]
    assert mode == "ro"
