"""Patterns that digits are to fit: regular expressions without the cost that they can have.

Theory of operation
-------------------
A pattern comes from a client and runs in the process that serves all of them, so an engine that backtracks
will not do: `(1*)*2` against forty ones would hold it for hours.  This is Thompson's construction
(R. Thompson, CACM 11(6), 1968): the pattern becomes a graph, and all places in which a match may be are moved
on together, key by key.  That costs at most keys x places, whatever the pattern; both are bounded (128,
`MAX_PLACES`).

    pattern     = branch {"|" branch}           branch = {piece}
    piece       = atom ["*" | "+" | "?" | "{m}" | "{m,}" | "{m,n}"]
    atom        = key | "." | "\\d" | "\\*" (the key) | "[" ["^"] {key | key "-" key} "]" | "(" pattern ")"

`^` at the beginning and `$` at the end may stand; the whole is always meant.  Keys are 0-9, A-D, # and, with
a backslash or within brackets, *.
"""

from __future__ import annotations

from msgspec import Struct, field

KEYS = frozenset("0123456789*#ABCD")
DIGITS = frozenset("0123456789")
BARE = KEYS - {"*"}
MAX_LENGTH = 256
MAX_PLACES = 1000
MAX_DEPTH = 20  # of parentheses
MAX_REPEAT = 128  # there are no more keys


class PatternError(ValueError):
    """Not a pattern; the message is for the client."""


class _Node(Struct, frozen=True):
    """keys: one of them.  one_of: alternatives.  all_of: one behind the other.  least, most: how often."""

    keys: frozenset[str] | None = None
    one_of: tuple[_Node, ...] = ()
    all_of: tuple[_Node, ...] = ()
    least: int = 1
    most: int | None = 1


class _Place(Struct, eq=False):
    """A place in the graph.  keys: lead on to `next`; None: `next` are reached without a key."""

    keys: frozenset[str] | None
    next: list[int] = field(default_factory=list)


class Pattern:
    """A compiled pattern.  Raises `PatternError`."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise PatternError(f"longer than {MAX_LENGTH} characters")
        parser = _Parser(text.removeprefix("^").removesuffix("$"))
        self._places: list[_Place] = []
        self._end = self._place(None)
        self._begin = self._build(parser.whole(), self._end)

    def describes(self, keys: str) -> bool:
        """All of them, from the first to the last."""
        at = self._reached({self._begin})
        for key in keys:
            fits = [place for place in map(self._places.__getitem__, at) if key in (place.keys or ())]
            at = self._reached({to for place in fits for to in place.next})
        return self._end in at

    def _reached(self, begin: set[int]) -> set[int]:
        """With all that is reached from there without a key."""
        reached, waiting = set(begin), list(begin)
        while waiting:
            place = self._places[waiting.pop()]
            if place.keys is None:
                fresh = [n for n in place.next if n not in reached]
                reached.update(fresh)
                waiting += fresh
        return reached

    def _place(self, keys: frozenset[str] | None, *leads_to: int) -> int:
        if len(self._places) >= MAX_PLACES:
            raise PatternError("too large")
        self._places.append(_Place(keys, list(leads_to)))
        return len(self._places) - 1

    def _build(self, node: _Node, end: int) -> int:
        """The place where that begins which ends in `end`."""
        for _ in range((node.most or node.least) - node.least):
            end = self._place(None, end, self._once(node, end))
        if node.most is None:
            loop = self._place(None, end)
            self._places[loop].next.append(self._once(node, loop))
            end = loop
        for _ in range(node.least):
            end = self._once(node, end)
        return end

    def _once(self, node: _Node, end: int) -> int:
        if node.keys is not None:
            return self._place(node.keys, end)
        if node.one_of:
            return self._place(None, *(self._build(branch, end) for branch in node.one_of))
        for part in reversed(node.all_of):
            end = self._build(part, end)
        return end


class _Parser:
    """Recursive descent over the grammar above."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> _Node:
        node = self._pattern()
        if self._at < len(self._text):
            raise PatternError(f"{self._text[self._at]!r} has nothing to belong to")
        return node

    def _next(self) -> str:
        """The character to come; "": none."""
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._next()
        if not char:
            raise PatternError("ends in the middle")
        self._at += 1
        return char

    def _skip(self, char: str) -> bool:
        if self._next() != char:
            return False
        self._at += 1
        return True

    def _pattern(self) -> _Node:
        branches = [self._branch()]
        while self._skip("|"):
            branches.append(self._branch())
        return _Node(one_of=tuple(branches))

    def _branch(self) -> _Node:
        pieces = []
        while self._next() and self._next() not in "|)":
            pieces.append(self._piece())
        return _Node(all_of=tuple(pieces))

    def _piece(self) -> _Node:
        atom = self._atom()
        if self._skip("*"):
            return _repeated(atom, 0, None)
        if self._skip("+"):
            return _repeated(atom, 1, None)
        if self._skip("?"):
            return _repeated(atom, 0, 1)
        if self._skip("{"):
            return self._counted(atom)
        return atom

    def _counted(self, atom: _Node) -> _Node:
        least = self._number()
        most: int | None = least
        if self._skip(","):
            most = None if self._next() == "}" else self._number()
        if not self._skip("}") or (most is not None and most < least):
            raise PatternError("a repetition is {m}, {m,} or {m,n}")
        return _repeated(atom, least, most)

    def _number(self) -> int:
        text = ""
        while self._next() and self._next() in DIGITS:
            text += self._take()
        if not text or int(text[:4]) > MAX_REPEAT:
            raise PatternError(f"a repetition needs numbers up to {MAX_REPEAT}")
        return int(text)

    def _atom(self) -> _Node:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _Node(keys=self._set())
        if char == ".":
            return _Node(keys=KEYS)
        if char == "\\":
            return _Node(keys=self._escaped())
        if char not in BARE:
            raise PatternError(f"{char!r} is no key")
        return _Node(keys=frozenset(char))

    def _group(self) -> _Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError("too many parentheses")
        node = self._pattern()
        if not self._skip(")"):
            raise PatternError("a parenthesis is not closed")
        self._depth -= 1
        return node

    def _escaped(self) -> frozenset[str]:
        char = self._take()
        if char == "d":
            return DIGITS
        if char not in "*#":
            raise PatternError(f"\\{char} has no meaning")
        return frozenset(char)

    def _set(self) -> frozenset[str]:
        negated = self._skip("^")
        chosen: set[str] = set()
        while not self._skip("]"):
            first = self._key()
            last = self._key() if self._skip("-") else first
            if last < first or (first != last and not {first, last} <= DIGITS | set("ABCD")):
                raise PatternError(f"{first}-{last} is no range")
            chosen.update(key for key in KEYS if first <= key <= last)
        if not chosen:
            raise PatternError("a set is empty")
        return KEYS - chosen if negated else frozenset(chosen)

    def _key(self) -> str:
        char = self._take()
        if char not in KEYS:
            raise PatternError(f"{char!r} is no key")
        return char


def _repeated(atom: _Node, least: int, most: int | None) -> _Node:
    return _Node(all_of=(atom,), least=least, most=most)
