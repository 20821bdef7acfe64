"""Pictures from a part of a file: of some slices, of a file that ends early, of a stream that is still arriving."""

import itertools
import socket
import threading
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from elic_runtime import ChecksumError, Codec, ElicError, TruncatedError
from elic_runtime.container import serialize
from elic_runtime.container_reading import parse, parse_prefix
from elic_runtime.metrics import psnr
from elic_runtime.progress import Ticks


@pytest.fixture(scope="module")
def crop(cat):
    return cat[100:228, 150:342]


@pytest.fixture(scope="module")
def data(trained_codec, crop):
    return trained_codec.compress(crop)


def test_every_slice_makes_the_picture_better(trained_codec, crop, data):
    quality = [psnr(crop, trained_codec.decompress(data, slices=k)) for k in range(6)]
    assert quality == sorted(quality)
    assert quality[1] > 15
    assert quality[5] == psnr(crop, trained_codec.decompress(data))


def test_missing_slices_are_predicted(trained_codec, data):
    """They are what a file gives whose symbols of these slices are all 0, and not 0 themselves."""
    container, reader = parse(data), trained_codec._reader
    seen = []

    def walk(tiles):
        return reader.decode(container, tiles, trained_codec.coder, Ticks(None))

    class Watched:
        """Zeros of the last slices, however they are coded."""

        def decode(self, stream, indexes, tables):
            seen.append(stream)
            if len(seen) > 1 + 2 * 2:
                return np.zeros(indexes.shape, np.int32)
            return trained_codec.coder.decode(stream, indexes, tables)

    whole = walk(container.tiles)
    missing = walk(container.first(2).tiles)
    with patch("elic_runtime.latents.symbols_checksum", side_effect=itertools.cycle([0])):
        unchecked = replace(container.tiles[0], z=without_checksums(container.tiles[0].z))
        unchecked = replace(unchecked, slices=tuple(map(without_checksums, unchecked.slices)))
        zeros = reader.decode(container, [unchecked], Watched(), Ticks(None))
    assert (missing == zeros).all()
    assert (missing[:, :32] == whole[:, :32]).all()
    assert np.abs(missing[:, 32:]).max() > 0.1


def without_checksums(section):
    return replace(section, symbols_crcs=(0,) * len(section.symbols_crcs))


@pytest.mark.parametrize("slices", [-1, 6])
def test_slices_that_do_not_exist_are_refused(codec, crop, slices):
    with pytest.raises(ElicError, match=f"slices={slices}: it must be from 0 to 5"):
        codec.decompress(codec.compress(crop), slices=slices)


def test_a_file_that_ends_anywhere_gives_its_passes(codec, crop):
    data = codec.compress(crop)
    seen = []
    for size in range(0, len(data), 23):
        with pytest.raises(TruncatedError):
            codec.decompress(data[:size])
        try:
            prefix = parse_prefix(data[:size])
        except TruncatedError:
            with pytest.raises(TruncatedError):
                codec.decompress(data[:size], partial=True)
            continue
        if not seen or seen[-1] != prefix.tiles[0].passes:
            seen.append(prefix.tiles[0].passes)
            picture = codec.decompress(data[:size], partial=True)
            if seen[-1] % 2 == 0:
                assert (picture == codec.decompress(data, slices=seen[-1] // 2)).all()
    assert seen == sorted(seen)
    assert len(seen) > 5


def test_damage_ends_a_prefix(codec, crop):
    data = bytearray(codec.compress(crop))
    data[-1] ^= 1
    with pytest.raises(ChecksumError):
        codec.decompress(bytes(data))
    assert (codec.decompress(bytes(data), partial=True) == codec.decompress(codec.compress(crop), slices=4)).all()


@pytest.mark.parametrize("at", [-9, -2])
def test_a_pass_that_is_damaged_and_alone_is_left_out(codec, crop, at):
    """Its slice's checksum has not arrived; the end of its stream and the checksum of its symbols tell."""
    container = parse(codec.compress(crop))
    data = serialize(container)
    end = len(data) - len(container.tiles[0].slices[4].streams[1])
    damaged = bytearray(data[:end])
    damaged[at] ^= 4
    expected = codec.decompress(data, slices=4)
    assert (codec.decompress(bytes(damaged), partial=True) == expected).all()
    arriving = codec.decompress_progressive(bytes(damaged) + data[end:])
    pictures = []
    with pytest.raises(ChecksumError, match="slice 4 is damaged"):
        pictures.extend(arriving)
    assert (pictures[-1] == expected).all()


def test_parts_of_files_in_tiles_and_regions(codec, cat):
    data = codec.compress(cat, tiles=True)
    picture = codec.decompress(data[: len(data) // 2], partial=True)
    missing = (picture == 128).all(axis=2)
    assert 0.2 < missing.mean() < 0.7
    assert (picture[:100, :150] == codec.decompress(data)[:100, :150]).all()
    assert missing[-1, -1]
    nothing = codec.decompress(data[: len(data) // 2], partial=True, region=(400, 250, 20, 20))
    assert nothing.shape == (20, 20, 3)
    assert (nothing == 128).all()
    whole = codec.compress(cat)
    part = codec.decompress(whole[:-1], partial=True, region=(5, 6, 70, 80))
    assert (part == codec.decompress(whole[:-1], partial=True)[6:86, 5:75]).all()


@pytest.mark.parametrize("tiles", [False, True])
def test_pictures_arrive_with_the_bytes(codec, cat, tiles):
    data = codec.compress(cat[:128], tiles=tiles)
    pictures = list(codec.decompress_progressive(data))
    assert len(pictures) == 11 * parse(data).grid.tiles
    assert (pictures[-1] == codec.decompress(data)).all()
    if not tiles:
        assert all((pictures[2 * k] == codec.decompress(data, slices=k)).all() for k in range(6))


def test_a_slow_connection_shows_something_before_the_last_byte(codec, crop):
    """Each pass is shown though nothing after it was sent."""
    data = codec.compress(crop)
    container = parse(data)
    streams = [s for section in (container.tiles[0].z, *container.tiles[0].slices) for s in section.streams]
    first = len(data) - sum(map(len, streams))
    ends = list(first + np.cumsum([len(stream) for stream in streams]))
    shown = threading.Semaphore(0)

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            for start, end in zip([0, *ends], ends, strict=False):
                connection.sendall(data[start:end])
                assert shown.acquire(timeout=60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        with socket.create_connection(listener.getsockname(), timeout=60) as connection:
            pictures = []
            for picture in codec.decompress_progressive(connection.makefile("rb", buffering=0)):
                pictures.append(picture)
                shown.release()
        server.join()
    assert len(pictures) == 11
    assert (pictures[-1] == codec.decompress(data)).all()


def test_a_connection_that_breaks_says_so_after_what_arrived(codec, crop):
    data = codec.compress(crop)
    pictures = []
    with pytest.raises(TruncatedError, match="ends in the stream of slice 4"):
        pictures.extend(codec.decompress_progressive(data[:-5]))
    assert len(pictures) == 10
    assert (pictures[-1] == codec.decompress(data[:-5], partial=True)).all()


def test_a_file_of_another_bundle_is_refused_by_its_header(trained_path, codec, crop):
    with pytest.raises(ElicError, match="written with another bundle"):
        next(Codec.load(trained_path).decompress_progressive(codec.compress(crop)[:60]))
