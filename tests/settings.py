"""The settings of the tests: the real ones, in a folder of their own.

Without DATABASE_URL and REDIS_URL the tests run on SQLite and on the embedded Redis server.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.embedded import start_redis

_home = tempfile.mkdtemp(prefix="wb-home-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["WEIGHBRIDGE_HOME"] = _home
os.environ["WEIGHBRIDGE_BASE_URL"] = "http://testserver"
os.environ["WEIGHBRIDGE_SECRET_KEY"] = "a key for tests alone, long enough to be accepted"
os.environ["WEIGHBRIDGE_REQUIRE_MFA"] = (
    "false"  # tests/access_requests/test_second_factor.py requires it
)
os.environ.setdefault("WEIGHBRIDGE_LOG_LEVEL", "WARNING")
for name in ("WEIGHBRIDGE_STORE", "WEIGHBRIDGE_DEMO", "EMAIL_URL"):
    os.environ.pop(name, None)
# Each of several test processes has a Redis to itself, as it has its own database, and one core: torch's
# threads would spend theirs on waiting for one another.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if _worker:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each of their sites has a cache of its own, and would compile the engine's kernels for itself.
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "kernels")
)
_given = os.environ.get("REDIS_URL", "")
if not _given or (
    _worker and _given.startswith("unix:")
):  # the first process's own is not for the others
    os.environ["REDIS_URL"] = start_redis()
elif _worker:
    _server, _, _number = _given.rpartition("/")
    os.environ["REDIS_URL"] = f"{_server}/{int(_number) + int(_worker.removeprefix('gw'))}"

from portal.settings import *  # noqa: E402, F403
from portal.settings import DATABASES, REST_FRAMEWORK, STATIC_ROOT, STORAGES  # noqa: E402

ALLOWED_HOSTS = ["*"]
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {}  # tests/portal/test_throttling.py sets rates
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads of one test then see one database, as processes do.
    DATABASES["default"]["TEST"] = {"NAME": f"{_home}/test.sqlite3"}
    # Nobody needs it after a power cut.
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    )
else:
    # A pool would hold connections open while the test database is dropped.
    DATABASES["default"]["OPTIONS"].pop("pool", None)
