"""pgdst.simulation.clients.ids."""

import base64
from uuid import UUID

import pytest
from pgdst.simulation.clients.ids import SeededIds, acting_as


def drawn_as(ids: SeededIds, client: str, purpose: str) -> UUID:
    """Return the next id of one client's stream."""
    with acting_as(client):
        return ids.new_uuid(purpose)


def test_the_same_seed_gives_the_same_ids() -> None:
    """Two sources with one seed agree, value by value."""
    one, other = SeededIds(7), SeededIds(7)
    assert [one.new_uuid("agent") for _ in range(3)] == [other.new_uuid("agent") for _ in range(3)]
    assert one.new_secret("key") == other.new_secret("key")


def test_the_seed_that_was_published_gives_the_ids_that_were_published() -> None:
    """The streams stay equal across releases and Python versions, so that a recorded seed replays."""
    assert UUID("1051d673-f69b-49b8-8567-49efcfa32e6e") == SeededIds(7).new_uuid("agent")


@pytest.mark.parametrize(
    ("seed_value", "client", "purpose"), [(8, "ada", "agent"), (7, "bob", "agent"), (7, "ada", "world")]
)
def test_another_seed_client_or_purpose_is_another_stream(seed_value: int, client: str, purpose: str) -> None:
    """Each of the three alone changes the ids."""
    assert drawn_as(SeededIds(7), "ada", "agent") != drawn_as(SeededIds(seed_value), client, purpose)


def test_what_another_client_draws_does_not_move_a_stream() -> None:
    """Dropping one client's steps leaves the ids of the others as they were."""
    alone, beside = SeededIds(7), SeededIds(7)
    drawn_as(beside, "bob", "agent")
    drawn_as(beside, "ada", "world")
    assert drawn_as(alone, "ada", "agent") == drawn_as(beside, "ada", "agent")


def test_a_stream_does_not_repeat_itself() -> None:
    """The hundredth id is as new as the first."""
    ids = SeededIds(7)
    assert len({ids.new_uuid("agent") for _ in range(100)}) == 100


def test_ids_look_like_random_uuids() -> None:
    """Version and variant are those of uuid4, so that validation accepts them."""
    assert SeededIds(7).new_uuid("agent").version == 4


def test_secrets_hold_256_bits() -> None:
    """As many as those of the application's own source, in characters that a header allows."""
    assert len(base64.urlsafe_b64decode(SeededIds(7).new_secret("key") + "=")) == 32


def test_the_acting_client_is_the_former_one_again_afterwards() -> None:
    """`acting_as` ends with its block."""
    ids, twin = SeededIds(7), SeededIds(7)
    drawn_as(ids, "ada", "agent")
    assert twin.new_uuid("agent") == ids.new_uuid("agent")
