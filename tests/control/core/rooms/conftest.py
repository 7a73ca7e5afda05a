"""Rooms without cooldowns, that tests of other things need not wait for them."""

import pytest
from fake_worker import Desk
from gathering import AT_ONCE


@pytest.fixture
def desk() -> Desk:
    return Desk(config=AT_ONCE)
