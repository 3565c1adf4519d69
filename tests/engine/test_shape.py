"""Forms and differences."""

import msgspec
from msgspec import Raw

from hotclub.engine.model import Publication
from hotclub.engine.protocol.codec_json import JsonCodec
from hotclub.engine.protocol.codec_protobuf import ProtobufCodec
from hotclub.engine.protocol.fossil import apply_delta
from hotclub.engine.shape import Delivery, Form, chain, difference, patch, remember
from hotclub.engine.transports.framing import Framed, bare, line

TEXT = JsonCodec()
BYTES = ProtobufCodec()
FIRST = b'"%b"' % (b"abcdefghij" * 20)
SECOND = FIRST[:100] + b"XYZ" + FIRST[100:]


def publication(data: bytes, offset: int = 1, **fields: object) -> Publication:
    return Publication(data=Raw(data), offset=offset, **fields)  # type: ignore[arg-type]


def text_of(shaped: Publication) -> bytes:
    """What a JSON client reads: its data is a string."""
    decoded = msgspec.json.decode(shaped.data)
    assert isinstance(decoded, str)
    return decoded.encode()


def test_a_form_wraps_what_its_codec_encodes() -> None:
    item = publication(b"1", offset=0)
    assert Form(Framed(TEXT, line), 0, delta=False).frame("a", item) == b'{"push":{"channel":"a","pub":{"data":1}}}\n'
    assert Form(Framed(TEXT, bare), 7, delta=False).frame("a", item) == b'{"push":{"id":7,"pub":{"data":1}}}'


def test_a_delivery_makes_one_frame_per_form_and_one_difference_per_form_and_base() -> None:
    plain, delta = Form(Framed(TEXT, line), 0, delta=False), Form(Framed(TEXT, line), 0, delta=True)
    first, equal = publication(FIRST), publication(FIRST)
    delivery = Delivery("a", publication(SECOND, 2))
    assert delivery.frame(plain) is delivery.frames[plain]
    against = delivery.difference(delta, first)
    assert delivery.difference(delta, equal) is against
    assert delivery.difference(delta, None) not in (against, delivery.frames[plain])


def test_without_a_base_the_data_is_whole_and_for_text_a_string() -> None:
    shaped = difference(TEXT, publication(FIRST), None)
    assert (text_of(shaped), shaped.delta) == (FIRST, False)
    assert difference(BYTES, publication(FIRST), None) == publication(FIRST)


def test_against_a_base_it_is_a_patch_that_leads_to_the_data() -> None:
    base, next_one = publication(FIRST), publication(SECOND, 2)
    made = patch(base, next_one)
    text, binary = difference(TEXT, next_one, made), difference(BYTES, next_one, made)
    assert (text.delta, binary.delta) == (True, True)
    assert apply_delta(FIRST, text_of(text)) == apply_delta(FIRST, bytes(binary.data)) == SECOND
    assert len(bytes(binary.data)) < len(SECOND) / 5


def test_a_patch_that_is_not_shorter_is_not_sent() -> None:
    shaped = difference(TEXT, publication(b"2", 2), patch(publication(b"1"), publication(b"2", 2)))
    assert (bytes(shaped.data), shaped.delta) == (b'"2"', False)


def test_a_patch_that_text_cannot_carry_is_sent_whole() -> None:
    assert TEXT.delta_publication(publication(FIRST), b"\xff").delta is False


def test_a_chain_has_one_link_per_key_and_a_removal_ends_it() -> None:
    items = [
        publication(FIRST, 1, key="a"),
        publication(FIRST, 2, key="b"),
        publication(SECOND, 3, key="a"),
        Publication(offset=4, key="a", removed=True),
        publication(SECOND, 5, key="a"),
        publication(SECOND, 6, key="b"),
    ]
    shaped = chain(TEXT, items)
    assert [item.delta for item in shaped] == [False, False, True, False, False, True]
    assert shaped[3] == items[3]
    assert apply_delta(FIRST, text_of(shaped[5])) == SECOND


def test_an_empty_chain_leaves_no_base() -> None:
    assert chain(TEXT, ()) == ()


def test_remembering_a_removal_forgets_that_key_alone() -> None:
    bases: dict[str, Publication] = {}
    remember(bases, publication(FIRST, key="a"))
    remember(bases, publication(SECOND, key="b"))
    remember(bases, Publication(key="a", removed=True))
    remember(bases, Publication(key="never there", removed=True))
    assert set(bases) == {"b"}
