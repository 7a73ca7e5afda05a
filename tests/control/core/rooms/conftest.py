"""Rooms without cooldowns, that tests of other things need not wait for them."""

import pytest
from desk import Desk
from gathering import AT_ONCE
from stage import Stage


@pytest.fixture
def desk() -> Desk:
    return Desk(config=AT_ONCE)


@pytest.fixture
def stage() -> Stage:
    return Stage()
