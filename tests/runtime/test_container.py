import io
import struct
import zlib

import pytest
from elic_runtime import ChecksumError, ContainerError, FormatError, TruncatedError
from elic_runtime.container import CodedTile, Container, Section, serialize
from elic_runtime.container_reading import Arriving, parse, parse_prefix
from elic_runtime.metadata import Metadata
from elic_runtime.tiles import TileGrid
from hypothesis import given
from hypothesis import strategies as st

HEADER = 38
streams = st.binary(max_size=300)
crcs = st.integers(0, 2**16 - 1)


@st.composite
def containers(draw):
    tile = draw(st.sampled_from([(64, 64), (64, 128), (512, 512)]))
    grid = TileGrid(draw(st.integers(1, 3 * tile[0])), draw(st.integers(1, 3 * tile[1])), *tile)
    n_slices = draw(st.integers(1, 5))

    def section(n):
        return Section(tuple(draw(streams) for _ in range(n)), tuple(draw(crcs) for _ in range(n)))

    tiles = tuple(CodedTile(section(1), tuple(section(2) for _ in range(n_slices))) for _ in range(grid.tiles))
    step = draw(st.integers(64, 512)) / 128
    pieces = st.none() | st.binary(max_size=300)
    metadata = Metadata(draw(pieces), draw(pieces), draw(pieces))
    return Container("float", draw(st.binary(min_size=8, max_size=8)), grid, step, n_slices, tiles, metadata)


def small():
    grid = TileGrid(100, 70, 64, 64)
    tiles = tuple(
        CodedTile(
            Section((bytes([t]) * 9,), (t,)), tuple(Section((b"anchor%d" % k, b"rest"), (k, 9)) for k in range(3))
        )
        for t in range(grid.tiles)
    )
    metadata = Metadata(icc=b"a profile", xmp=b"<x/>")
    return Container("float", b"finger!!", grid, 1.5, 3, tiles, metadata)


@given(containers())
def test_any_container_survives(container):
    assert parse(serialize(container)) == container


def test_every_truncation_is_noticed():
    data = serialize(small())
    for size in range(len(data)):
        with pytest.raises((TruncatedError, FormatError)):
            parse(data[:size])


def test_every_flipped_bit_is_noticed():
    data = serialize(small())
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(ContainerError):
                parse(bytes(damaged))


def test_trailing_bytes_are_noticed():
    with pytest.raises(FormatError, match="3 bytes follow"):
        parse(serialize(small()) + b"abc")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(ContainerError):
        parse(data)


@given(st.binary(max_size=200))
def test_random_bytes_after_a_good_header_are_refused(data):
    with pytest.raises(ContainerError):
        parse(serialize(small())[:HEADER] + data)


def hostile_header(
    version=2,
    coder=0,
    arithmetic=0,
    slices=5,
    width=64,
    height=64,
    tile_width=1,
    tile_height=1,
    step=128,
    metadata=0,
):
    fields = (version, coder, arithmetic, slices, b"f" * 8, width, height, tile_width, tile_height, step, metadata)
    header = struct.pack("<4s4B8s2I3HI", b"ELIC", *fields)
    return header + struct.pack("<I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 1}, "version 1: this program reads version 2"),
        ({"coder": 9}, "do not exist"),
        ({"arithmetic": 7}, "do not exist"),
        ({"slices": 0}, "do not exist"),
        ({"slices": 255}, "do not exist"),
        ({"width": 0}, "outside the limit"),
        ({"height": 0}, "outside the limit"),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, "outside the limit"),
        ({"tile_width": 0}, "outside the limit"),
        ({"tile_width": 65535, "tile_height": 65535}, "outside the limit"),
        ({"width": 2**13, "height": 2**14}, "32768 tiles do not fit in"),
        ({"step": 0}, "a step of 0 is not from 0.5 to 4"),
        ({"step": 63}, "a step of 0.492188 is not from 0.5 to 4"),
        ({"step": 513}, "a step of 4.00781 is not from 0.5 to 4"),
        ({"metadata": 2**32 - 1}, "metadata of 4294967295 bytes are outside the limit"),
        ({"metadata": 600}, "ends in the metadata: 600 bytes are needed, 500 are left"),
    ],
)
def test_hostile_headers_are_refused_before_anything_is_allocated(fields, message):
    with pytest.raises(ContainerError, match=message):
        parse(hostile_header(**fields) + b"\0" * 500)


def test_the_cap_on_pixels_is_the_callers():
    data = serialize(small())
    assert parse(data, max_pixels=7000).grid.width == 70
    with pytest.raises(FormatError, match="outside the limit of 6999 pixels"):
        parse(data, max_pixels=6999)


def test_a_length_of_too_many_bytes_is_refused():
    with pytest.raises(FormatError, match="more than 5 bytes"):
        parse(hostile_header() + b"\xff" * 500)
    with pytest.raises(FormatError, match="not in its shortest form"):
        parse(hostile_header() + b"\x80\x00" + b"\0" * 500)


def test_messages_tell_damage_from_other_files():
    with pytest.raises(FormatError, match=r"not an \.elic file"):
        parse(b"\x89PNG and so on and on and on and on")
    data = bytearray(serialize(small()))
    data[-1] ^= 1
    with pytest.raises(ChecksumError, match="slice 2 is damaged"):
        parse(bytes(data))


def with_metadata(data):
    """A file with these bytes as its section of metadata."""
    header = bytearray(hostile_header(metadata=len(data))[:-4])
    return bytes(header) + struct.pack("<I", zlib.crc32(header)) + data + struct.pack("<I", zlib.crc32(data))


def test_metadata_of_a_kind_that_is_not_known_are_skipped():
    arriving = Arriving(io.BytesIO(with_metadata(b"\x09\x03new\x00\x02cc\x02\x01x")))
    assert arriving.header.metadata == Metadata(icc=b"cc", xmp=b"x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\x02cc\x00\x01c", "two entries of the kind icc"),
        (b"\x00\x05cc", "ends in the metadata"),
        (b"\x00\x80\x00", "not in its shortest form"),
        (b"\x00", "ends in the metadata"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(data, message):
    with pytest.raises(ContainerError, match=message):
        Arriving(io.BytesIO(with_metadata(data)))


def passes(container):
    return [(len(tile.slices), tile.passes) for tile in container.tiles]


def test_a_prefix_has_every_pass_that_is_whole():
    container = small()
    data = serialize(container)
    seen = []
    for size in range(len(data) + 1):
        try:
            found = passes(parse_prefix(data[:size]))
        except TruncatedError:
            assert not seen
            continue
        if not seen or seen[-1] != found:
            seen.append(found)
    steps = [[(0, 0)], [(1, 1)], [(1, 2)], [(2, 3)], [(2, 4)], [(3, 5)], [(3, 6)]]
    assert seen[:7] == steps
    assert seen[7] == [(3, 6), (0, 0)]
    assert len(seen) == 7 * container.grid.tiles
    assert parse_prefix(data) == container


def test_a_prefix_ends_before_damage():
    """A slice of which a pass is damaged is left out: its checksum does not say which one."""
    data = serialize(small())
    at = data.index(b"anchor1") + 8
    assert passes(parse_prefix(data[:at] + b"?" + data[at + 1 :])) == [(1, 2)]


def test_a_prefix_without_z_is_refused():
    data = serialize(small())
    with pytest.raises(TruncatedError, match="ends in the stream of z"):
        parse_prefix(data[: data.index(b"anchor0") - 1])
    with pytest.raises(ChecksumError):
        parse_prefix(b"ELIC" + b"\x02" * 100)


@given(containers())
def test_whole_files_are_prefixes_of_themselves(container):
    assert parse_prefix(serialize(container)) == container


def test_a_stream_is_read_no_farther_than_needed():
    """Each picture can be shown before the bytes of the next one arrive."""

    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    data = serialize(small())
    stream = Slow(data)
    ends = []
    for number, tile in Arriving(stream):
        ends.append(stream.tell())
        if not number:
            assert passes(parse_prefix(data[: ends[-1]]))[-1] == (len(tile.slices), tile.passes)
    assert ends[-1] == len(data)
