"""Shares of a run: their seeds, their sizes and their sum."""

from pgdst.simulation.shares import Share, part_of, seed_of, summed


def test_the_only_share_has_the_runs_own_seed_and_hash() -> None:
    """A run that nobody shares is what it was before there were shares."""
    share = Share()
    share.trace.append("a line")
    assert 7 == seed_of(7, 0, 1)
    assert share.trace.hexdigest() == summed({0: share.as_record()}).hash


def test_every_share_has_another_seed_in_every_run() -> None:
    """Neither another share nor another run, nor what a simulation derives in lower bits, has the same."""
    seeds = [seed_of(seed, share, 3) for seed in range(3) for share in range(3)]
    assert len(seeds) == len({seed + (extension << 64) for seed in seeds for extension in range(3)}) / 3


def test_no_example_is_lost_between_the_shares() -> None:
    """Rounded up."""
    assert [12, 6, 4, 3, 3] == [part_of(12, workers) for workers in range(1, 6)]


def test_the_sum_does_not_depend_on_who_came_first_but_on_the_order_of_the_shares() -> None:
    """Workers end in any order."""
    one, two = Share(), Share()
    one.trace.append("one")
    two.trace.append("two")
    records = {0: one.as_record(), 1: two.as_record()}
    assert summed(records).hash == summed(dict(reversed(records.items()))).hash
    assert summed(records).hash != summed({0: records[1], 1: records[0]}).hash


def test_what_one_share_has_reached_is_reached() -> None:
    """The ledgers are added up."""
    one, two = Share(), Share()
    for share in (one, two):
        share.ledger.declare(states=("a", "b"), moves=("c",))
    one.ledger.sometimes("a", True)
    two.ledger.sometimes("a", True)
    two.ledger.sometimes("b", True)
    ledger = summed({0: one.as_record(), 1: two.as_record()}).ledger
    assert {"a": 2, "b": 1, "c": 0} == ledger.counts()
    assert ["c"] == ledger.unreached()
