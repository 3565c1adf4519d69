"""How a publication looks to one subscriber: its encoder, its number of the channel, and differences (protocol §2.11).

Subscribers of one form share the encoded frame. Subscribers with differences share it as well, as long as they hold
the same base, which all that keep up do. Nothing here changes a subscriber.
"""

from collections.abc import Iterable

from hotclub.engine.model import Publication
from hotclub.engine.protocol.base import Codec, Encoder
from hotclub.engine.protocol.fossil import create_delta


class Form:
    """What subscribers must have in common to be sent the same frame. Compared by identity."""

    __slots__ = ("delta", "encoder", "number")

    def __init__(self, encoder: Encoder, number: int, *, delta: bool) -> None:
        """`number` stands for the channel's name on the wire; 0 is no number, and the name is written."""
        self.encoder = encoder
        self.number = number
        self.delta = delta

    def frame(self, channel: str, publication: Publication) -> bytes:
        """The publication as its transport writes it."""
        encoder = self.encoder
        return encoder.frame_publication(encoder.codec.encode_publication(channel, publication, self.number))


class Delivery:
    """One publication on its way to many subscribers: the frame of each form, made once."""

    __slots__ = ("_differences", "_patches", "channel", "frames", "patched", "publication")

    def __init__(self, channel: str, publication: Publication) -> None:
        self.channel = channel
        self.publication = publication
        self._differences: dict[tuple[Form, int], bytes] = {}
        self._patches: dict[int, bytes | None] = {}
        self.frames: dict[Form, bytes] = {}
        """The frames made so far for forms without differences."""
        self.patched = False
        """Whether a difference was made, which takes long. Whoever looks at the clock then sets it back."""

    def frame(self, form: Form) -> bytes:
        """Make the frame with the whole publication and keep it in `frames`."""
        frame = self.frames[form] = form.frame(self.channel, self.publication)
        return frame

    def difference(self, form: Form, base: Publication | None) -> bytes:
        """The frame for a form with differences, made against `base`; None is a subscriber that has no base yet."""
        # Subscribers that keep up hold the same object; one that has just recovered holds an equal of the same offset.
        same = 0 if base is None else base.offset or id(base)
        frame = self._differences.get((form, same))
        if frame is None:
            if same not in self._patches:
                self._patches[same] = patch(base, self.publication)
                self.patched = True
            shaped = difference(form.encoder.codec, self.publication, self._patches[same])
            frame = self._differences[form, same] = form.frame(self.channel, shaped)
        return frame


def patch(base: Publication | None, publication: Publication) -> bytes | None:
    """What turns the data of `base` into the publication's, the same for every codec; None when the publication has to
    be sent whole."""
    if base is None or publication.removed:
        return None
    return create_delta(bytes(base.data), bytes(publication.data))


def difference(codec: Codec, publication: Publication, patched: bytes | None) -> Publication:
    """The publication as a subscriber with differences gets it: the patch, or the whole data where that is None.

    A removal carries no data and stays as it is.
    """
    return publication if publication.removed else codec.delta_publication(publication, patched)


def chain(codec: Codec, publications: Iterable[Publication]) -> tuple[Publication, ...]:
    """Publications that follow each other: the first of each key whole, each later one against the one before it."""
    bases: dict[str, Publication] = {}
    shaped = []
    for publication in publications:
        shaped.append(difference(codec, publication, patch(bases.get(publication.key), publication)))
        remember(bases, publication)
    return tuple(shaped)


def remember(bases: dict[str, Publication], publication: Publication) -> None:
    """Make the publication the base of its key's next difference; a removal leaves the key without a base."""
    if publication.removed:
        bases.pop(publication.key, None)
    else:
        bases[publication.key] = publication
