"""The application on a clean, migrated database for each test."""

from collections.abc import Iterator

import pytest

from tests.client import Backend, serving


@pytest.fixture
def backend(database: str) -> Iterator[Backend]:
    """The application on a database for this test alone."""
    with serving(database) as found:
        yield found
