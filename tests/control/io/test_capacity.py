"""What ends first: ports, descriptors or arena slots."""

from roomtone.control.io.capacity import capacity


def limits(**changes: object) -> tuple[str, int]:
    values: dict = {
        "rtp_port_range": (30000, 39999),
        "media_addresses": 1,
        "descriptor_limit": 1 << 20,
        "workers": 2,
        "worker_endpoints": 8192,
    }
    return capacity(**{**values, **changes}).smallest


def test_the_default_range_holds_five_thousand_endpoints_an_address() -> None:
    assert limits() == ("ports", 5000)
    assert limits(media_addresses=2) == ("ports", 10000)


def test_a_pair_is_an_even_port_and_the_next() -> None:
    assert limits(rtp_port_range=(30001, 30004)) == ("ports", 1)
    assert limits(rtp_port_range=(30000, 30003)) == ("ports", 2)


def test_few_descriptors_or_slots_end_first() -> None:
    assert limits(descriptor_limit=1024) == ("descriptors", 384)
    assert limits(worker_endpoints=100) == ("arena_slots", 200)
