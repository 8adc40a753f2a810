"""The connections that workers need."""

import pytest
from pgdst.database.budget import require_connections
from pgdst.errors import ConfigurationError
from pgdst.server.address import Server


def test_more_workers_than_the_server_has_connections_for_are_refused(shop_server: Server) -> None:
    """With both cures, in numbers."""
    with shop_server.connect() as connection:
        require_connections(connection, 4)
        with pytest.raises(
            ConfigurationError,
            match=r"5 workers need 100 connections \(20 each\), the server allows 97\. Use WORKERS=4, or set "
            r"max_connections = 103",
        ):
            require_connections(connection, 5)
