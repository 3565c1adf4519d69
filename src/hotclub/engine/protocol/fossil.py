"""Differences between two payloads in the Fossil delta format (protocol §2.11).

A patch is the target's length, then copies from the base and inserted bytes, then a checksum of the target. Numbers
are written in base 64. The encoder indexes the base in blocks of 16 bytes and looks for them at every place of the
target, so a patch stays small when text has moved.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_BLOCK: Final = 16
_CANDIDATES: Final = 4
"""Places of the base that are tried for one block: repetitive text has many equal ones."""
_MOST_COPIES: Final = 512
"""Copies in one patch; the rest of the target is inserted. Bounds the time that a hostile pair of payloads can take."""
_WORTHWHILE: Final = 12
"""A copy takes up to this many bytes in the patch of a large document; a shorter one is better inserted."""


class _Copy(NamedTuple):
    start: int
    end: int
    """`start` and `end` are the place of the copy in the target."""
    source: int
    """The place in the base where the copied bytes begin."""


def create_delta(base: bytes, target: bytes) -> bytes | None:
    """A patch that turns `base` into `target`, or None when none was found that is shorter than the target.

    The patch of a target that is valid UTF-8 is valid UTF-8 too: nothing is cut inside a character.
    """
    parts = [b"%b\n" % _number(len(target))]
    done = 0
    for found in _copies(base, target):
        copy = _whole_characters(found, target)
        if copy.end - copy.start < _WORTHWHILE:
            continue
        if copy.start > done:
            parts.append(b"%b:%b" % (_number(copy.start - done), target[done : copy.start]))
        parts.append(b"%b@%b," % (_number(copy.end - copy.start), _number(copy.source)))
        done = copy.end
    if done < len(target):
        parts.append(b"%b:%b" % (_number(len(target) - done), target[done:]))
    parts.append(b"%b;" % _number(_checksum(target)))
    patch = b"".join(parts)
    return patch if len(patch) < len(target) else None


def apply_delta(base: bytes, patch: bytes) -> bytes:
    """The target of a patch.

    Raises:
        ValueError: the patch is malformed, or was not made against this base.
    """
    length, at = _read_number(patch, 0, b"\n")
    parts: list[bytes] = []
    total = 0
    while True:
        count, at = _read_number(patch, at, b":@;")
        command = patch[at - 1 : at]
        if command == b";":
            break
        total += count
        if total > length:
            raise ValueError("the patch makes more than it announces")
        if command == b":":
            part, at = patch[at : at + count], at + count
        else:
            source, at = _read_number(patch, at, b",")
            part = base[source : source + count]
        if len(part) != count:
            raise ValueError("the patch reaches beyond an end")
        parts.append(part)
    target = b"".join(parts)
    if at != len(patch) or len(target) != length or _checksum(target) != count:
        raise ValueError("the patch does not fit this base")
    return target


def _copies(base: bytes, target: bytes) -> Iterator[_Copy]:
    """The copies that a patch may make, in the target's order: the common beginning, moved blocks, the common end."""
    head = _common_start(base, 0, target, 0, min(len(base), len(target)))
    tail = _common_end(base, len(base), target, len(target), min(len(base), len(target)) - head)
    if head:
        yield _Copy(0, head, 0)
    if len(target) - tail - head >= _BLOCK:
        yield from _moved_blocks(base, target, head, len(target) - tail)
    if tail:
        yield _Copy(len(target) - tail, len(target), len(base) - tail)


def _moved_blocks(base: bytes, target: bytes, start: int, stop: int) -> Iterator[_Copy]:
    places = _index(base)
    done = start
    for _ in range(_MOST_COPIES):
        at = _find_block(target, done, stop - _BLOCK + 1, places)
        if at is None:
            return
        candidates = places[target[at : at + _BLOCK]]
        copy = max((_extend(base, place, target, at, (done, stop)) for place in candidates), key=_length)
        yield copy
        done = copy.end


def _find_block(target: bytes, start: int, stop: int, places: dict[bytes, list[int]]) -> int | None:
    """The first place of the target where a block of the base stands.

    Sixteen places in a row are looked at, so that no block of an equal stretch there is missed; then some places are
    left out. The longer nothing is found, the more are left out, so that a document without anything in common with its
    predecessor costs little.
    """
    at = start
    while at < stop:
        for place in range(at, min(at + _BLOCK, stop)):
            if target[place : place + _BLOCK] in places:
                return place
        at += _BLOCK + (at - start) // 64
    return None


def _index(base: bytes) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for place in range(0, len(base) - _BLOCK + 1, _BLOCK):
        same = places.setdefault(base[place : place + _BLOCK], [])
        if len(same) < _CANDIDATES:
            same.append(place)
    return places


def _extend(base: bytes, place: int, target: bytes, at: int, bounds: tuple[int, int]) -> _Copy:
    """The longest copy around an equal block at `place` and `at`, within the target's bounds."""
    start, stop = bounds
    before = _common_end(base, place, target, at, min(place, at - start))
    after = _common_start(base, place, target, at, min(len(base) - place, stop - at))
    return _Copy(at - before, at + after, place - before)


def _length(copy: _Copy) -> int:
    return copy.end - copy.start


def _common_start(a: bytes, i: int, b: bytes, j: int, most: int) -> int:
    """How many bytes from a[i] and b[j] on are equal, at most `most`. Compares slices of doubling size."""
    equal, size = 0, _BLOCK
    while equal < most and size:
        size = min(size, most - equal)
        if a[i + equal : i + equal + size] == b[j + equal : j + equal + size]:
            equal += size
            size *= 2
        else:
            most = equal + size - 1
            size //= 2
    return equal


def _common_end(a: bytes, i: int, b: bytes, j: int, most: int) -> int:
    """How many bytes before a[i] and b[j] are equal, at most `most`."""
    equal, size = 0, _BLOCK
    while equal < most and size:
        size = min(size, most - equal)
        if a[i - equal - size : i - equal] == b[j - equal - size : j - equal]:
            equal += size
            size *= 2
        else:
            most = equal + size - 1
            size //= 2
    return equal


def _whole_characters(copy: _Copy, target: bytes) -> _Copy:
    """The copy without parts of UTF-8 characters at its ends. Bytes that are no text lose at most three at each end."""
    start, end = copy.start, copy.end
    while start < min(end, copy.start + 3) and target[start] & 0xC0 == 0x80:
        start += 1
    while end > max(start, copy.end - 3) and end < len(target) and target[end] & 0xC0 == 0x80:
        end -= 1
    return _Copy(start, end, copy.source + start - copy.start)


def _checksum(target: bytes) -> int:
    padded = target + bytes(-len(target) % 4)
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) & 0xFFFFFFFF


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = divmod(value, 64)
        digits.append(_DIGITS[digit])
        if not value:
            digits.reverse()
            return bytes(digits)


def _read_number(patch: bytes, at: int, ends: bytes) -> tuple[int, int]:
    """The number at that place, and the place after the byte that ends the number.

    Raises:
        ValueError: no number stands there.
    """
    value = 0
    for place in range(at, min(at + 12, len(patch))):
        byte = patch[place]
        if byte in ends and place > at:
            return value, place + 1
        if byte not in _VALUES:
            break
        value = value * 64 + _VALUES[byte]
    raise ValueError(f"the patch has no number at byte {at}")
