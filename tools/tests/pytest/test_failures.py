"""The files of failed shards."""

from pathlib import Path

from pgdst.pytest.failures import Failure, kept


def test_a_kept_failure_that_goes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    """A shard that passes takes other files with it: pytest removes that of the shard's last run of several clients."""
    for shard in (1, 2):
        Failure(7, shard, None, None, None, "one too many").keep(tmp_path)
    tried = []
    for file, failure in kept(tmp_path):
        tried.append(failure.shard)
        for one in file.parent.iterdir():
            one.unlink()
    assert [1] == tried
