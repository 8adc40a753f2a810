"""Shards of a run: their seeds and their sum."""

from pgdst.pytest.shard import Record, Shard, seed_of, summed


def record_of(index: int, line: str, *reached: str, failed: bool = False) -> Record:
    shard = Shard(index, index, 0)
    shard.trace.append(line)
    shard.coverage.declare(states=("a", "b"), moves=("c",))
    for name in reached:
        shard.coverage.sometimes(name, True)
    return shard.as_record(failed=failed)


def test_every_shard_has_another_seed_in_every_run() -> None:
    seeds = {seed_of(seed, test, number) for seed in range(5) for test in ("one", "two") for number in range(5)}
    assert 50 == len(seeds)
    assert seed_of(7, "one", 3) == seed_of(7, "one", 3) < 2**64


def test_the_hash_of_a_single_shard_is_the_runs() -> None:
    record = record_of(3, "a line")
    assert record["hash"] == summed({3: record}).hash


def test_the_sum_does_not_depend_on_who_came_first_but_on_the_order_of_the_shards() -> None:
    """Workers end in any order."""
    one, two = record_of(0, "one"), record_of(1, "two")
    assert summed({0: one, 1: two}).hash == summed({1: two, 0: one}).hash
    assert summed({0: one, 1: two}).hash != summed({0: two, 1: one}).hash


def test_what_one_shard_has_reached_is_reached() -> None:
    """The coverages are added up."""
    found = summed({0: record_of(0, "one", "a"), 1: record_of(1, "two", "a", "b")})
    assert {"a": 2, "b": 1, "c": 0} == found.coverage.counts()
    assert ["c"] == found.coverage.unreached()


def test_what_comes_after_the_first_shard_that_failed_does_not_count() -> None:
    """How many later shards were run depends on the processes."""
    records = {0: record_of(0, "one", "a"), 1: record_of(1, "two", failed=True)}
    more = {**records, 2: record_of(2, "three", "b"), 3: record_of(3, "four", failed=True)}
    assert summed(records).hash == summed(more).hash
    assert 1 == summed(more).failed
    assert {"a": 1, "b": 0, "c": 0} == summed(more).coverage.counts()
