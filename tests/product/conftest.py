"""Fixtures of the whole product."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from product import Phone, Product


@pytest.fixture
def serve() -> Iterator[Callable[..., Product]]:
    """serve(**config) starts the product; it is stopped at the end of the test."""
    started: list[Product] = []

    def start(**config: Any) -> Product:
        started.append(Product(**config))
        return started[-1]

    yield start
    for product in started:
        product.stop()


@pytest.fixture
def phone() -> Iterator[Callable[..., Phone]]:
    made: list[Phone] = []

    def make(**options: Any) -> Phone:
        made.append(Phone(**options))
        return made[-1]

    yield make
    for one in made:
        one.hang_up()
