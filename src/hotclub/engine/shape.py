"""How a publication looks to one subscriber: its encoder, its number of the channel, and differences (protocol §2.11).

Subscribers of one form share the encoded frame. With differences they share it too, as long as they stand on the same
base, which all that keep up do.
"""

from collections.abc import Iterable

from hotclub.engine.model import Publication
from hotclub.engine.protocol.base import Codec, Encoder
from hotclub.engine.protocol.fossil import create_delta


class Form:
    """What subscribers must have in common to be sent the same frame. Compared by identity."""

    __slots__ = ("delta", "encoder", "number")

    def __init__(self, encoder: Encoder, number: int, *, delta: bool) -> None:
        """`number` stands for the channel's name where it is not 0."""
        self.encoder = encoder
        self.number = number
        self.delta = delta

    def frame(self, channel: str, publication: Publication) -> bytes:
        """The publication as it is written."""
        encoder = self.encoder
        return encoder.frame_publication(encoder.codec.encode_publication(channel, publication, self.number))


def patch(base: Publication | None, publication: Publication) -> bytes | None:
    """What turns `base` into the publication; None when it has to be sent whole. It is the same for every codec."""
    if base is None or publication.removed:
        return None
    return create_delta(bytes(base.data), bytes(publication.data))


def difference(codec: Codec, publication: Publication, patched: bytes | None) -> Publication:
    """The publication as a subscriber with differences gets it: as a patch, or whole without one.

    A removal carries no data and stays as it is.
    """
    return publication if publication.removed else codec.delta_publication(publication, patched)


def chain(codec: Codec, publications: Iterable[Publication]) -> tuple[Publication, ...]:
    """Publications that follow each other: the first of each key whole, the others against the one before."""
    bases: dict[str, Publication] = {}
    shaped = []
    for publication in publications:
        shaped.append(difference(codec, publication, patch(bases.get(publication.key), publication)))
        remember(bases, publication)
    return tuple(shaped)


def remember(bases: dict[str, Publication], publication: Publication) -> None:
    """Note what the next difference of this key is made against; a removal ends the key's chain."""
    if publication.removed:
        bases.pop(publication.key, None)
    else:
        bases[publication.key] = publication
