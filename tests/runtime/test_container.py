import struct
import zlib

import pytest
from elic_runtime import ChecksumError, ContainerError, FormatError, TruncatedError
from elic_runtime.container import CodedTile, Container, Section, serialize
from elic_runtime.container_reading import parse
from elic_runtime.tiles import TileGrid
from hypothesis import given
from hypothesis import strategies as st

HEADER = 32
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
    return Container("float", draw(st.binary(min_size=8, max_size=8)), grid, tiles)


def small():
    grid = TileGrid(100, 70, 64, 64)
    tiles = tuple(
        CodedTile(
            Section((bytes([t]) * 9,), (t,)), tuple(Section((b"anchor%d" % k, b"rest"), (k, 9)) for k in range(3))
        )
        for t in range(grid.tiles)
    )
    return Container("float", b"finger!!", grid, tiles)


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


def hostile_header(version=2, coder=0, arithmetic=0, slices=5, width=64, height=64, tile_width=1, tile_height=1):
    fields = (version, coder, arithmetic, slices, b"f" * 8, width, height, tile_width, tile_height)
    header = struct.pack("<4s4B8s2I2H", b"ELIC", *fields)
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
