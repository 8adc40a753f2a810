"""In which order requests that were sent at once may have counted."""

from pgdst import Outcome, Result, Schedule, Step
from simulation.engine.harness import Request
from simulation.engine.linearization import named, possible_orders


def orders_of(schedule: str, *commits: Step) -> list[str]:
    """Return the possible orders of the clients of a run, in the order in which they are tried."""
    taken = Schedule.parse(schedule)
    result = Result({client: Outcome() for client in sorted(set(taken.clients))}, [*commits], taken)
    return [" ".join(order) for order in possible_orders(result)]


def test_requests_that_overlap_may_have_counted_in_any_order_and_that_of_their_ends_is_tried_first() -> None:
    """What a request does counts mostly from its commit on, with which it ends."""
    assert ["bob ada", "ada bob"] == orders_of("ada bob*2 ada")


def test_requests_of_which_one_ended_before_the_other_began_counted_in_that_order() -> None:
    """A client may rely on an answer that it has."""
    assert ["ada bob"] == orders_of("ada*2 bob*2")
    assert ["ada bob cyd", "bob ada cyd"] == orders_of("ada bob ada bob cyd*2")


def test_a_request_whose_client_was_not_told_and_asked_again_counted_from_its_first_commit_on() -> None:
    """Two votes for one author tell it in the order of their commits, which their answers do not show."""
    lost = Step(1, "ada", "COMMIT", "OperationalError")
    done = Step(2, "bob", "COMMIT", "done"), Step(3, "ada", "COMMIT", "done")
    assert ["ada bob", "bob ada"] == orders_of("ada!commit-done bob ada", lost, *done)
    assert ["bob ada", "ada bob"] == orders_of("ada!commit-undone bob ada", lost, *done)


def test_a_client_that_sends_several_requests_is_several_clients() -> None:
    """Named after it, so that the interleaving of a failure can be read."""
    requests = [Request(client, "GET", "/", None, None, None) for client in ("ada", "bob", "ada")]
    assert ["ada", "bob", "ada.2"] == list(named(requests))
