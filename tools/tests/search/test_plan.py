"""The numbers of shards, and who takes them."""

from itertools import islice

import pytest
from pgdst.search.plan import Place, Range, Share, in_words, place_of


def test_shards_run_through_one_seed_after_another() -> None:
    found = [place_of(shard, 7, 3) for shard in range(7)]
    assert [Place(7, 0), Place(7, 1), Place(7, 2), Place(8, 0), Place(8, 1), Place(8, 2), Place(9, 0)] == found


def test_the_shares_of_a_search_have_each_shard_once() -> None:
    shares = [Share(number, 3) for number in (1, 2, 3)]
    assert [1] * 20 == [sum(shard in share for share in shares) for shard in range(20)]
    assert [0, 3, 6] == [shard for shard in range(8) if shard in Share.parse("1/3")]


def test_a_range_has_its_last_shard_and_may_have_none() -> None:
    assert [3, 4, 5] == list(Range.parse("3-5"))
    assert [0, 1, 2] == list(islice(Range(), 3))
    assert "3-5" == str(Range.parse("3-5"))


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "5-3", "a-b", "0-1 ", "٣-٥", "1-2-3"])  # noqa: RUF001  digits of another script
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no range of shards"):
        Range.parse(text)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "1/2/3", "-1/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no share"):
        Share.parse(text)


def test_shards_in_words() -> None:
    assert "0-2, 5, 7-8" == in_words([8, 5, 0, 1, 7, 2])
