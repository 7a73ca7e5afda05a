"""Every operation by its name: one table for routing, documents and tests."""

from __future__ import annotations

from roomtone.control.core.calls import operations as calls
from roomtone.control.core.rest import apps, deliveries, endpoints, remembered
from roomtone.control.core.rest.asked import Operation
from roomtone.control.core.rooms import operations as rooms
from roomtone.control.core.rooms import play_requests

OPERATIONS: dict[str, Operation] = {
    **apps.OPERATIONS,
    **remembered.OPERATIONS,
    **endpoints.OPERATIONS,
    **deliveries.OPERATIONS,
    **rooms.OPERATIONS,
    **play_requests.OPERATIONS,
    **calls.OPERATIONS,
}
