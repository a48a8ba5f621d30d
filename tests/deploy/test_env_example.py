""".env.example names every variable that something reads, and none that nothing reads."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OF_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}


def named(path: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / path).read_text(), flags=re.MULTILINE))


def in_settings() -> set[str]:
    return named("portal/settings.py", r'\benv\.\w+\(\s*"([A-Z0-9_]+)"')


def in_shell() -> set[str]:
    """What docker-compose.yml and the entry point take from outside."""
    return named("docker-compose.yml", r"\$\{([A-Z0-9_]+)") | named(
        "deploy/entrypoint.sh", r"\$\{?(WEIGHBRIDGE_[A-Z0-9_]+)"
    )


def in_example() -> set[str]:
    return named(".env.example", r"^#?([A-Z0-9_]+)=")


def test_every_variable_that_is_read_is_explained() -> None:
    assert len(in_settings()) > 20
    assert in_settings() | in_shell() <= in_example()


def test_every_variable_that_is_explained_is_read() -> None:
    assert in_example() - in_settings() - in_shell() == OF_COMPOSE_ITSELF


def test_every_variable_stands_once_and_below_a_line_of_explanation() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    places = [at for at, line in enumerate(lines) if re.match(r"#?[A-Z0-9_]+=", line)]
    assert len(places) == len(in_example())
    for at in places:
        before = lines[at - 1]
        assert before.startswith("# ") or re.match(
            r"#?WEIGHBRIDGE_(S3_ACCESS_KEY|HTTP_PORT)=", before
        ), lines[at]


def test_the_handbook_lists_the_same_variables() -> None:
    page = named("docs/operators/configuration.md", r"^\| `([A-Z0-9_]+)`")
    assert page == in_example()


def test_compose_passes_on_every_setting_of_the_site_that_it_does_not_fix() -> None:
    fixed_by_the_image = {
        "WEIGHBRIDGE_HOME",
        "WEIGHBRIDGE_SANDBOX_CACHE",
        "WEIGHBRIDGE_DEMO",
        "WEIGHBRIDGE_DEBUG",
    }
    passed = named("docker-compose.yml", r"^\s+([A-Z0-9_]+):")
    assert in_settings() - passed == fixed_by_the_image


def test_no_secret_of_the_example_has_a_value_that_works() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        if not line.startswith("#") and "=" in line:
            assert line.endswith("="), f"{line}: a value given here would be used everywhere"
