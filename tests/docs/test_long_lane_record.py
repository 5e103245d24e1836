import pytest

from tests.long_lane import LEFT_OUT, RECORD, faults_and_stale, read_record


def test_every_long_test_that_was_left_out_has_passed_in_the_long_lane(request: pytest.FixtureRequest):
    faults, _ = faults_and_stale(read_record(RECORD), request.config.stash[LEFT_OUT])
    assert faults == [], "run `make test-all` and commit tests/long_lane.json"
