"""In which order requests that were sent at once may have counted."""

from pgdst.simulation.client import Outcome
from pgdst.simulation.scheduler import Result
from pgdst.simulation.strategy import Schedule
from simulation.at_once import named, possible_orders
from simulation.harness import Request


def orders_of(schedule: str) -> list[str]:
    """Return the possible orders of the clients of a run, in the order in which they are tried."""
    taken = Schedule.parse(schedule)
    result = Result({client: Outcome() for client in sorted(set(taken.clients))}, schedule=taken)
    return [" ".join(order) for order in possible_orders(result)]


def test_requests_that_overlap_may_have_counted_in_any_order_and_that_of_their_ends_is_tried_first() -> None:
    """What a request does counts mostly from its commit on, with which it ends."""
    assert ["bob ada", "ada bob"] == orders_of("ada bob*2 ada")


def test_requests_of_which_one_ended_before_the_other_began_counted_in_that_order() -> None:
    """Whoever has its answer may rely on it."""
    assert ["ada bob"] == orders_of("ada*2 bob*2")
    assert ["ada bob cyd", "bob ada cyd"] == orders_of("ada bob ada bob cyd*2")


def test_a_client_that_sends_several_requests_is_several_clients() -> None:
    """Named after it, so that the interleaving of a failure can be read."""
    requests = [Request(client, "GET", "/", None, None, None) for client in ("ada", "bob", "ada")]
    assert ["ada", "bob", "ada.2"] == list(named(requests))
