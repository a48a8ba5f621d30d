"""One walk for all tests that ask something of it."""

import logging
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from tests.walker.walk import Visit, walk
from tests.walker.world import make_world


@pytest.fixture(scope="session")
def visits(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> list[Visit]:
    store = f"local:{tmp_path_factory.mktemp('store')}"
    quiet = override_settings(STORE_URL=store, ACCOUNT_RATE_LIMITS=False)
    logging.disable(logging.WARNING)  # a line for each of thousands of refusals
    try:
        with django_db_blocker.unblock(), quiet, transaction.atomic():
            found = walk(make_world())
            transaction.set_rollback(True)
    finally:
        logging.disable(logging.NOTSET)  # other tests of this process read the log
    return found
