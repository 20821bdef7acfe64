"""What a report says of one photograph, against what the file and the decoder say."""

import numpy as np
import pytest
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.container_reading import parse
from elic_runtime.evaluation.bit_maps import code_lengths
from elic_runtime.evaluation.coding import FileCoding
from elic_runtime.evaluation.details import bits_by_position, describe, streams_of
from elic_runtime.metrics import psnr
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.tables import CdfTables
from PIL import Image


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("size", [(128, 192), (100, 150), (200, 300)])
def test_bits_on_the_map_are_those_of_the_file(codec, cat, size):
    """Ideal code lengths of y add up to its streams, but for the coder's state of 64 bits at the end of each."""
    photograph = cat[: size[0], : size[1]]
    container = parse(codec.compress(photograph, step=1.5))
    bits = bits_by_position(photograph, codec, container)
    assert bits.shape == (-(-size[0] // 16), -(-size[1] // 16))
    streams = [s for tile in container.tiles for section in tile.slices for s in section.streams]
    whole = bits_by_position(
        np.pad(photograph, ((0, -size[0] % 64), (0, -size[1] % 64), (0, 0)), "edge"), codec, container
    )
    assert 8 * sum(map(len, streams)) == pytest.approx(whole.sum(), rel=0.01, abs=64 * len(streams))


def test_bits_are_where_the_picture_is_busy(trained_codec, cat):
    """Of a photograph whose left half is grey."""
    photograph = cat[100:228, 150:342].copy()
    photograph[:, :96] = 128
    bits = bits_by_position(photograph, trained_codec, parse(trained_codec.compress(photograph)))
    assert bits[:, 7:].mean() > 4 * bits[:, :4].mean()


def test_a_code_length_is_that_of_its_bin():
    """A row of bins of 1/2, 1/4 and the escape, 1/4: symbols in range, and out of it with none, one and two nibbles."""
    tables = CdfTables(np.array([[0, 32768, 49152, 65536]], np.int32), np.array([4], np.int32), np.array([5], np.int32))
    symbols = np.array([5, 6, 7, 4, 7 + 10], np.int32)
    assert code_lengths(symbols, np.zeros(5, np.uint16), tables).tolist() == [1, 2, 2 + 4, 2 + 8, 2 + 12]


def test_details_of_a_photograph(bundle_path, codec, cat, tmp_path):
    photograph = cat[:130, :200]
    coding = FileCoding(Bundle(bundle_path), onnxruntime_factory(), [3.0, 1.25, 0.5])
    found = describe("cat.png", "bundle", photograph, coding, tmp_path)
    assert (found.image, found.codec, found.step, found.shown) == ("cat.png", "bundle", 1.25, "")
    data = codec.compress(photograph, step=1.25)
    assert sum(stream.bytes for stream in found.streams) == len(data)
    assert [s.label for s in found.streams[:4]] == ["header and checksums", "z", "slice 0, anchors", "slice 0, others"]
    assert (pixels_of(tmp_path / found.original) == photograph).all()
    picture = codec.decompress(data)
    assert (pixels_of(tmp_path / found.decoded) == picture).all()
    assert pixels_of(tmp_path / found.error).shape == (130, 200, 3)
    assert pixels_of(tmp_path / found.bits).shape == (9, 13, 3)
    assert found.encode[0].name == "context"
    assert {"h_s", "entropy coding", "rest"} <= {stage.name for stage in found.decode}
    assert all(stage.seconds >= 0 for stage in (*found.encode, *found.decode))
    assert len(found.progressive) == 11
    assert found.progressive[-1].share == 1
    assert found.progressive[-1].psnr_db == psnr(photograph, picture)
    assert [p.share for p in found.progressive] == sorted(p.share for p in found.progressive)


def test_a_large_photograph_is_shown_in_part(bundle_path, cat, tmp_path):
    photograph = np.tile(cat, (1, 3, 1))[:128]  # 128x1353
    coding = FileCoding(Bundle(bundle_path), onnxruntime_factory(), [1.0])
    found = describe("wide.png", "bundle", photograph, coding, tmp_path)
    assert (found.width, found.height, found.shown) == (1024, 128, "the 1024x128 pixels in the middle")
    assert (pixels_of(tmp_path / found.original) == photograph[:, 164:1188]).all()


def test_streams_of_tiles_are_added(codec, cat):
    data = codec.compress(cat[:130, :200], tiles=True)
    container = parse(data)
    assert container.grid.tiles > 1
    assert sum(stream.bytes for stream in streams_of(container, len(data))) == len(data)
    assert isinstance(codec, Codec)
