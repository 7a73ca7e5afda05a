"""Walks every list of the graph and counts again."""

from libc.stdint cimport uint32_t

from roomtone.ext.codec.codec cimport CODEC_COUNT
from roomtone.ext.flow.constants cimport NONE, PHASES, WHEEL_SLOTS
from roomtone.ext.flow.endpoint cimport (
    EP_DESTINATION,
    EP_INJECT,
    EP_KEY_RX,
    EP_LISTENS_APART,
    EP_PARTY,
    EP_PRIVATE,
    EP_SOURCE,
    EP_SPEAKS_APART,
    EP_TALKING,
    EP_TICKED,
    EP_WATCHED,
    KIND_BRIDGE,
    KIND_FREE,
    KIND_RTP,
    endpoint_t,
    is_made,
)
from roomtone.ext.flow.graph cimport bus_t, endpoint_at, media_t, seat_t


cdef enum:
    LIST_SOURCES = 0
    LIST_TICKED = 1
    LIST_DESTINATIONS = 2
    LIST_KEYS = 3
    LIST_INJECTS = 4
    LIST_WHEEL = 5


cdef uint32_t following(endpoint_t* e, int which) noexcept:
    if which == LIST_SOURCES:
        return e.next_source
    if which == LIST_TICKED:
        return e.next_ticked
    if which == LIST_DESTINATIONS:
        return e.next_destination
    if which == LIST_KEYS:
        return e.next_key
    return e.next_inject if which == LIST_INJECTS else e.next_wheel


cdef uint32_t preceding(endpoint_t* e, int which) noexcept:
    if which == LIST_SOURCES:
        return e.prev_source
    if which == LIST_TICKED:
        return e.prev_ticked
    if which == LIST_DESTINATIONS:
        return e.prev_destination
    if which == LIST_KEYS:
        return e.prev_key
    return e.prev_inject if which == LIST_INJECTS else e.prev_wheel


cdef list members(media_t* m, uint32_t first, int which, str name, list faults):
    """Indices on a list; faults when a link does not point back or the list has no end."""
    cdef uint32_t i = first
    cdef uint32_t before = NONE
    out = []
    while i != NONE:
        if i >= m.endpoint_count or len(out) > m.endpoint_count:
            faults.append(f"{name}: no end")
            break
        if preceding(endpoint_at(m, i), which) != before:
            faults.append(f"{name}: {i} does not point back")
        out.append(i)
        before = i
        i = following(endpoint_at(m, i), which)
    return out


cdef void expect(list faults, bint holds, str sentence):
    if not holds:
        faults.append(sentence)


cdef list flagged(media_t* m, uint32_t flag, uint32_t bus):
    """Endpoints with a flag, of one bus or (NONE) of all."""
    cdef uint32_t i
    return [i for i in range(m.arena.high_water)
            if m.endpoints[i].flags & flag and (bus == NONE or m.endpoints[i].bus == bus)]


cdef void audit_destinations(media_t* m, uint32_t bus, list faults):
    cdef bus_t* b = &m.buses[bus]
    cdef int codec
    cdef uint32_t last
    every = []
    for codec in range(CODEC_COUNT):
        found = members(m, b.destination_first[codec], LIST_DESTINATIONS, f"bus {bus} destinations", faults)
        expect(faults, len(found) == b.destinations[codec], f"bus {bus}: destinations of codec {codec} miscounted")
        last = NONE
        if found:
            last = found[len(found) - 1]
        expect(faults, last == b.destination_last[codec], f"bus {bus}: last of {codec}")
        expect(faults, all(endpoint_at(m, i).tx_codec == codec for i in found), f"bus {bus}: one in a wrong group")
        every += found
    expect(faults, len(every) == b.destination_count, f"bus {bus}: destinations miscounted")
    expect(faults, sorted(every) == flagged(m, EP_DESTINATION, bus), f"bus {bus}: destination list and flags differ")
    listeners = [i for i in every if not endpoint_at(m, i).flags & EP_SOURCE]
    expect(faults, len(listeners) == b.listener_count, f"bus {bus}: listeners miscounted")
    expect(faults, b.send_next == NONE or b.send_next in every, f"bus {bus}: the send cursor is on a stranger")


cdef void audit_sources(media_t* m, uint32_t bus, list faults):
    cdef bus_t* b = &m.buses[bus]
    found = members(m, b.first_source, LIST_SOURCES, f"bus {bus} sources", faults)
    ticked = members(m, b.first_ticked, LIST_TICKED, f"bus {bus} ticked", faults)
    made = [i for i in found if is_made(endpoint_at(m, i))]
    bridges = [i for i in found if endpoint_at(m, i).kind == KIND_BRIDGE]
    linked = members(m, b.first_bridge, LIST_TICKED, f"bus {bus} bridges", faults)
    rtp = [i for i in flagged(m, EP_SOURCE | EP_DESTINATION, bus) if endpoint_at(m, i).kind == KIND_RTP]
    talking = flagged(m, EP_TALKING, bus)
    watched = [i for i in found if endpoint_at(m, i).flags & EP_WATCHED]
    expect(faults, len(found) == b.source_count, f"bus {bus}: sources miscounted")
    expect(faults, sorted(found) == flagged(m, EP_SOURCE, bus), f"bus {bus}: source list and flags differ")
    expect(faults, sorted(ticked) == flagged(m, EP_TICKED, bus), f"bus {bus}: tick list and flags differ")
    expect(faults, set(ticked) <= set(found), f"bus {bus}: one is ticked and no source")
    private = members(m, b.first_private, LIST_TICKED, f"bus {bus} private sources", faults)
    expect(faults, set(made) <= set(ticked + private), f"bus {bus}: a tone or a file is not ticked")
    expect(faults, not set(ticked) & set(private), f"bus {bus}: one is summed and private")
    expect(faults, sorted(private) == flagged(m, EP_PRIVATE, bus), f"bus {bus}: private list and flags differ")
    expect(faults, private == [i for i in private if m.privates[i].seat.party], f"bus {bus}: one is private to nobody")
    expect(faults, not b.room or b.relay_codec == 0, f"bus {bus}: a room relays")
    expect(faults, not b.room or b.linked == (len(found) > 0 or b.destination_count > 0), f"bus {bus}: an idle room")
    expect(faults, len(made) == b.made_count, f"bus {bus}: tones and files miscounted")
    expect(faults, sorted(linked) == sorted(bridges), f"bus {bus}: bridge list and sources differ")
    expect(faults, len(bridges) == b.bridge_count, f"bus {bus}: bridges miscounted")
    expect(faults, len(rtp) == b.rtp_count, f"bus {bus}: RTP members miscounted")
    expect(faults, len(watched) == b.watched_count, f"bus {bus}: watched sources miscounted")
    expect(faults, b.linked or not watched, f"bus {bus}: one is watched and the bus does not tick")
    expect(faults, b.relay_codec or set(talking) <= set(ticked + private), f"bus {bus}: one talks and is not summed")


cdef void audit_seats(media_t* m, uint32_t bus, list faults):
    cdef endpoint_t* e
    cdef seat_t* seat
    cdef uint32_t i
    for i in flagged(m, EP_SOURCE | EP_DESTINATION, bus):
        e = endpoint_at(m, i)
        seat = &m.privates[i].seat
        expect(faults, not e.flags & EP_SOURCE or e.flags & EP_SPEAKS_APART or (seat.role | seat.muted) == 0,
               f"bus {bus}: {i} speaks as if it had another seat")
        listens = e.flags & EP_DESTINATION != 0
        expect(faults, (e.flags & EP_LISTENS_APART != 0) == (listens and seat.deaf_to != 0)
               and (e.flags & EP_PARTY != 0) == (listens and seat.party != 0),
               f"bus {bus}: {i} listens as if it had another seat")


cdef void audit_phases(media_t* m, list faults):
    cdef uint32_t phase, bus, before
    linked = set()
    for phase in range(PHASES):
        n = 0
        before = NONE
        bus = m.phase_first[phase]
        while bus != NONE and n <= m.endpoint_count:
            expect(faults, m.buses[bus].prev_in_phase == before, f"phase {phase}: bus {bus} does not point back")
            expect(faults, m.buses[bus].phase == phase, f"phase {phase}: bus {bus} is in another")
            linked.add(bus)
            before = bus
            bus = m.buses[bus].next_in_phase
            n += 1
        expect(faults, n == m.phase_buses[phase], f"phase {phase}: buses miscounted")
        expect(faults, (m.phases_used >> phase & 1) == (n > 0), f"phase {phase}: its bit is wrong")
    wanted = {bus for bus in range(m.endpoint_count) if m.buses[bus].linked}
    expect(faults, linked == wanted, "phase lists and buses differ")


cdef void audit_deferred(media_t* m, list faults):
    cdef uint32_t bus = m.deferred_first
    cdef uint32_t before = NONE
    found = set()
    while bus != NONE and len(found) <= m.endpoint_count:
        expect(faults, m.buses[bus].prev_deferred == before, f"deferred: bus {bus} does not point back")
        found.add(bus)
        before = bus
        bus = m.buses[bus].next_deferred
    expect(faults, found == {bus for bus in range(m.endpoint_count) if m.buses[bus].sending}, "deferred list is wrong")


cdef void audit_endpoints(media_t* m, list faults):
    cdef uint32_t i
    cdef endpoint_t* e
    for i in range(1, m.arena.high_water):
        e = endpoint_at(m, i)
        on_bus = (e.flags & (EP_SOURCE | EP_DESTINATION)) != 0
        expect(faults, on_bus == (e.bus != NONE) or e.handle & 0xFFFFF == 0, f"endpoint {i}: bus and flags differ")
        expect(faults, e.kind != KIND_FREE or e.flags == 0, f"endpoint {i}: closed, but has flags")
        expect(faults, e.lock & 1 == 0, f"endpoint {i}: its lock is odd")
    on_wheel = []
    for i in range(WHEEL_SLOTS):
        on_wheel += members(m, m.wheel[i], LIST_WHEEL, "wheel", faults)
    expect(faults, len(on_wheel) == m.wheel_members, "the wheel is miscounted")
    keys = members(m, m.key_first, LIST_KEYS, "keys", faults)
    expect(faults, sorted(keys) == flagged(m, EP_KEY_RX, NONE), "key list and flags differ")
    injects = members(m, m.inject_first, LIST_INJECTS, "injects", faults)
    expect(faults, sorted(injects) == flagged(m, EP_INJECT, NONE), "inject list and flags differ")


cdef list audit(media_t* m):
    cdef uint32_t bus
    faults = []
    for bus in range(m.endpoint_count):
        if m.buses[bus].in_use & 1 and (m.buses[bus].source_count or m.buses[bus].destination_count):
            audit_sources(m, bus, faults)
            audit_destinations(m, bus, faults)
            audit_seats(m, bus, faults)
    audit_phases(m, faults)
    audit_deferred(m, faults)
    audit_endpoints(m, faults)
    return faults
