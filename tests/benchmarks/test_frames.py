import pytest

from benchmarks.frames import CLOSE, PING, TEXT, client_frame, split

SMALL = b"\x81\x02{}"
MEDIUM = b"\x81\x7e\x01\x00" + b"m" * 256
LARGE = b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"l" * 65_536


def test_frames_of_every_length_are_split() -> None:
    frames, rest = split(SMALL + MEDIUM + LARGE + b"\x89\x01p" + b"\x88\x02\x03\xe8")
    assert [(opcode, len(payload)) for opcode, payload in frames] == [
        (TEXT, 2),
        (TEXT, 256),
        (TEXT, 65_536),
        (PING, 1),
        (CLOSE, 2),
    ]
    assert rest == b""


@pytest.mark.parametrize("whole", [SMALL, MEDIUM, LARGE])
def test_an_unfinished_frame_waits(whole: bytes) -> None:
    for cut in (1, 3, len(whole) - 1):
        frames, rest = split(SMALL + whole[:cut])
        assert len(frames) == 1
        assert rest == whole[:cut]


@pytest.mark.parametrize("wrong", [b"\x01\x02{}", b"\xc1\x02{}", b"\x81\x82\0\0\0\0{}", b"\x80\x02{}"])
def test_what_no_peer_sends_is_an_error(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="masked, compressed or fragmented"):
        split(wrong)


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_a_client_frame_is_masked_with_nothing(length: int) -> None:
    frame = client_frame(b"x" * length)
    assert frame[1] & 0x80
    assert frame.endswith(b"\0\0\0\0" + b"x" * length)
