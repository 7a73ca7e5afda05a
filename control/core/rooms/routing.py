"""Who hears whom in a room: roles by name, and the matrix of them.

Theory of operation
-------------------
A member speaks in one *role* and hears a set of roles.  On workers a role is a number from 0 to 6; a name
keeps its number as long as the room has it, so that while a new matrix goes out member by member no voice is
ever taken for another's.  Number 0 is the role of who names none: as long as all have it a room mixes one
class of voices and pays nothing for the matrix (`Room.roles_apart`).
"""

from __future__ import annotations

from msgspec import Struct

from roomtone.engine.messages import ANNOUNCEMENTS

MAX_ROLES = ANNOUNCEMENTS


class Role(Struct, frozen=True):
    """hears: names of roles."""

    number: int
    hears: tuple[str, ...]


class RoleView(Struct):
    """hears: names of roles."""

    hears: list[str]


class RoutingView(Struct):
    """roles: by name.  default: of who names none."""

    default: str
    roles: dict[str, RoleView]


class Routing(Struct, frozen=True):
    """roles: by name.  default: of who names none."""

    default: str
    roles: dict[str, Role]

    def seat(self, name: str) -> tuple[int, int]:
        """Number of the role, and the mask of those it hears; announcements are heard by all."""
        role = self.roles.get(name) or self.roles[self.default]
        mask = 1 << ANNOUNCEMENTS
        for other in role.hears:
            mask |= 1 << self.roles[other].number
        return role.number, mask

    def shown(self) -> RoutingView:
        return RoutingView(
            self.default, {name: RoleView(list(role.hears)) for name, role in self.roles.items()}
        )


def changed(old: Routing, default: str, hears: dict[str, tuple[str, ...]]) -> Routing:
    """The next matrix of a room.  Raises `ValueError`, with a sentence for the client."""
    if not 1 <= len(hears) <= MAX_ROLES:
        raise ValueError(f"a room has 1 to {MAX_ROLES} roles")
    if default not in hears:
        raise ValueError(f"the default role {default!r} is not among the roles")
    for name, heard in hears.items():
        for other in heard:
            if other not in hears:
                raise ValueError(f"{name!r} hears {other!r}, which is no role of the room")
    if default != old.default and old.default in hears:
        raise ValueError(f"the default role stays {old.default!r} while the room has it")
    if default in old.roles and default != old.default:
        raise ValueError(f"{default!r} has been another role and cannot become the default")
    numbers = {name: old.roles[name].number for name in hears if name in old.roles}
    numbers[default] = 0
    free = (number for number in range(1, MAX_ROLES) if number not in numbers.values())
    for name in hears:
        if name not in numbers:
            numbers[name] = next(free)
    return Routing(default, {name: Role(numbers[name], heard) for name, heard in hears.items()})


_EVERYBODY = ("participant", "agent", "coach", "whisper")
DEFAULT_ROUTING = Routing(
    "participant",
    {
        "participant": Role(0, ("participant", "agent")),
        "agent": Role(1, _EVERYBODY),  # whom coaches and whisperers speak to
        "coach": Role(2, ("participant", "agent", "coach")),  # heard by agents, and by other coaches
        "whisper": Role(3, ("participant", "agent")),  # heard by agents only
        "monitor": Role(4, ("participant", "agent")),  # hears what the call hears, and is not heard
    },
)
