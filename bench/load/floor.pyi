"""The Python face of floor.pyx."""

from typing import NoReturn

def run(descriptors: list[int]) -> NoReturn: ...
