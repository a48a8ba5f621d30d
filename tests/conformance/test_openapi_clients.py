"""Clients that generators make of /api/schema/ walk the site: affiliation, application, approval, links, a run."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients.environments import ROOT, all_only, node, node_modules, python_of
from tests.live import Site

CLIENTS = ROOT / "tests/clients"
# What docs/reference/api.md says to the generator.
CONFIG = "content_type_overrides:\n  application/metalink4+xml: text/plain\n"
STRICT = ["--strict", "--noUncheckedIndexedAccess", "--module", "nodenext", "--target", "es2023"]

pytestmark = [all_only, pytest.mark.timeout(900)]  # a site, a generator and a compiler


@dataclass(frozen=True)
class Walker:
    """What a generated client is given: the document, and the tokens of two people."""

    site: Site
    folder: Path
    schema: Path
    applicant: str
    reviewer: str

    def run(self, *command: object, **variables: str) -> None:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command[:2]}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"


@pytest.fixture
def walker(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Walker:
    """alice is new to the site, with the scopes of an applicant; rita is the demo's reviewer."""
    answer = httpx.get(f"{site.url}/api/schema/", headers={"accept": "application/json"})
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(answer.raise_for_status().json()))
    email = f"alice-{request.node.name.replace('_', '-')}@lab.test"
    site.manage(
        "shell",
        "--command",
        "from portal.accounts.models import Account\n"
        f"alice = Account.objects.create_user({email!r}, 'a-password', name='Alice Example')\n"
        "alice.emailaddress_set.create(email=alice.email, verified=True, primary=True)",
    )
    scopes = ("read", "apply", "download", "sandbox")
    return Walker(
        site,
        tmp_path,
        schema,
        site.token(email, *scopes),
        site.token("reviewer@demo.test", "read", "review"),
    )


def test_the_client_of_openapi_python_client_walks_the_whole_way(walker: Walker) -> None:
    python = python_of("openapi_python_client")
    config = walker.folder / "config.yml"
    config.write_text(CONFIG)
    walker.run(
        *(python.with_name("openapi-python-client"), "generate", "--fail-on-warning"),
        *("--path", walker.schema, "--config", config),
        *("--meta", "none", "--output-path", walker.folder / "weighbridge_client"),
        PATH=f"{python.parent}:{os.environ['PATH']}",  # for ruff, which formats what was made
    )
    walker.run(python, "-m", "compileall", "-q", walker.folder / "weighbridge_client")
    walker.run(
        *(python, CLIENTS / "openapi_walk.py"),
        *(walker.site.url, walker.applicant, walker.reviewer),
        PYTHONPATH=str(walker.folder),
    )


def test_the_types_of_openapi_typescript_walk_the_whole_way(walker: Walker) -> None:
    packages = node_modules("openapi_typescript")
    for name in ("walk.ts", "package.json"):
        (walker.folder / name).write_text((CLIENTS / "openapi_typescript" / name).read_text())
    (walker.folder / "node_modules").symlink_to(packages)
    walker.run(
        *(node(), packages / "openapi-typescript/bin/cli.js", walker.schema),
        *("--default-non-nullable=false", "--output", walker.folder / "schema.d.ts"),
    )
    walker.run(node(), packages / "typescript/bin/tsc", *STRICT, walker.folder / "walk.ts")
    walker.run(
        *(node(), walker.folder / "walk.js"),
        *(walker.site.url, walker.applicant, walker.reviewer),
    )
