"""Photographs of every format: read rightly or refused in one line, and written without loss."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from elic_runtime import ImageError
from elic_runtime.images import WRITABLE, decode_photograph, formats, read_image, reading, write_image
from elic_runtime.shapes import MAX_PIXELS
from PIL import Image


@pytest.fixture
def save(tmp_path):
    def save(picture, name="image.png", **options):
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def rgb(cat):
    return cat[:40, :60]


def test_rgb_survives(save, rgb):
    assert (read_image(save(Image.fromarray(rgb))) == rgb).all()


def test_grey_becomes_rgb(save, rgb):
    grey = rgb[:, :, 0]
    read = read_image(save(Image.fromarray(grey)))
    assert read.shape == rgb.shape
    assert (read == grey[:, :, None]).all()


def test_one_bit_becomes_black_and_white(save):
    bits = np.eye(8, dtype=bool)
    assert (read_image(save(Image.fromarray(bits)))[:, :, 1] == bits * 255).all()


def test_palettes_are_looked_up(save, rgb):
    picture = Image.fromarray(rgb).quantize(16)
    assert (read_image(save(picture)) == np.asarray(picture.convert("RGB"))).all()


def test_sixteen_bits_are_rounded(save):
    samples = np.array([[0, 128, 129, 257 * 200 + 128, 257 * 200 + 129, 65535]], np.uint16)
    assert read_image(save(Image.fromarray(samples)))[0, :, 0].tolist() == [0, 0, 1, 200, 201, 255]


def test_opaque_alpha_is_dropped_and_transparency_refused(save, rgb):
    picture = Image.fromarray(rgb).convert("RGBA")
    assert (read_image(save(picture)) == rgb).all()
    picture.putpixel((3, 3), (1, 2, 3, 254))
    with pytest.raises(ImageError, match="it is transparent"):
        read_image(save(picture))
    palette = Image.fromarray(rgb).quantize(16)
    with pytest.raises(ImageError, match="it is transparent"):
        read_image(save(palette, transparency=palette.getpixel((0, 0))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(save, rgb, orientation):
    turned = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, -1),
        7: rgb[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(rgb),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (read_image(save(Image.fromarray(rgb), exif=exif)) == turned).all()


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("CMYK", "image.tif", "CMYK"),
        ("CMYK", "image.jpg", "CMYK"),
        ("F", "image.tif", "32-bit floating-point"),
        ("F", "image.pfm", "floating-point"),
        ("LAB", "image.tif", "CIELAB"),
        ("I", "image.tif", "32-bit signed"),
    ],
)
def test_samples_without_one_meaning_are_refused(save, mode, name, message):
    with pytest.raises(ImageError, match=f"{message} samples are not coded: convert it to 8- or 16-bit RGB first"):
        read_image(save(Image.new(mode, (8, 8)), name))


def test_what_is_no_image_is_refused(tmp_path, rgb):
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ImageError, match="no image"):
        read_image(tmp_path / "text.png")
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    for size in (20, 40, len(buffer.getvalue()) // 2):
        (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:size])
        with pytest.raises(ImageError) as error:
            read_image(tmp_path / "cut.png")
        assert "\n" not in str(error.value)


def test_images_are_written_whole_or_not_at_all(tmp_path, rgb):
    write_image(tmp_path / "out.png", rgb)
    assert (read_image(tmp_path / "out.png") == rgb).all()
    for bad in (rgb.astype(np.complex64), rgb[:, :, 0], rgb / 255, "a.png"):
        with pytest.raises(ImageError, match="uint8 array"):
            write_image(tmp_path / "bad.png", bad)
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_other_formats_and_several_frames_are_refused(tmp_path, rgb):
    """Only the formats that are named: Pillow has many more, some of which run other programs."""
    Image.fromarray(rgb).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no image of a known format"):
        read_image(tmp_path / "a.png")
    frames = [Image.fromarray(rgb), Image.fromarray(rgb[::-1])]
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        read_image(tmp_path / "b.png")


def test_what_is_written_is_lossless_or_refused(tmp_path, rgb):
    for suffix in WRITABLE:
        write_image(str(tmp_path / f"a{suffix.upper()}"), rgb)
        assert (read_image(str(tmp_path / f"a{suffix.upper()}")) == rgb).all()
    for name in ("a.jpg", "a.webp", "a.xyz", "a"):
        with pytest.raises(ImageError, match=rf"{name}: images are written without loss, as \.png"):
            write_image(tmp_path / name, rgb)
        assert not (tmp_path / name).exists()


def test_nothing_is_said_besides(save, rgb, capfd):
    """Pillow warns of a palette's transparency and of damaged EXIF, libtiff on the process's own stderr."""
    palette = Image.fromarray(rgb).quantize(16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save(palette, transparency=bytes([255] * 16))
        assert (read_image(path) == np.asarray(palette.convert("RGB"))).all()
        read_image(save(Image.fromarray(rgb), "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\1\x99\x99"))
        path = save(Image.fromarray(rgb), "a.tif", compression="tiff_lzw")
        data = bytearray(path.read_bytes())
        for at in range(60, len(data) - 200, 40):
            data[at] ^= 0x5A
        path.write_bytes(data)
        with pytest.raises(ImageError):
            read_image(path)
    assert capfd.readouterr() == ("", "")


def test_the_limit_is_the_products_own(tmp_path):
    """Of a header alone: refused before anything is decoded."""
    for width, height in ((MAX_PIXELS + 1, 1), (1 << 20, 1 << 20), (1 << 30, 1 << 30)):
        header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        data = b"\x89PNG\r\n\x1a\n\0\0\0\r" + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "a.png").write_bytes(data + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
        with pytest.raises(ImageError, match=f"limit of {MAX_PIXELS} pixels"):
            read_image(tmp_path / "a.png")


def test_every_refusal_has_a_reason(tmp_path):
    """A row that no decoder has memory for, 74 bytes: the exception says nothing itself."""
    header = struct.pack(">2I5B", MAX_PIXELS, 1, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks
    )
    with pytest.raises(ImageError, match=r"a\.png: cannot be read as an image: .{9}"):
        decode_photograph(b"\x89PNG\r\n\x1a\n" + data, "a.png")


@pytest.mark.parametrize(("name", "orientation"), [("a.avif", 1), ("a.avif", 6), ("a.heic", 1)])
def test_phones_formats(save, rgb, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(save(Image.fromarray(rgb), name, quality=95, exif=exif))
    expected = np.rot90(rgb, -1) if orientation == 6 else rgb
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("name", "package"), [("a.avif", "pillow-avif-plugin"), ("a.heic", "pillow-heif")])
def test_without_a_plugin_its_format_is_named(save, rgb, monkeypatch, name, package):
    """The plugins are there: what is changed is which formats count as read."""
    path = save(Image.fromarray(rgb), name)
    for module in (formats, reading):
        monkeypatch.setattr(module, "read_formats", lambda: ("PNG", "JPEG"))
    with pytest.raises(ImageError, match=f"a{path.suffix}: .* which .*{package} reads: install it"):
        read_image(path)


def test_animated_pictures_are_refused(save, rgb):
    frames = [Image.fromarray(rgb), Image.fromarray(rgb[::-1])]
    for name in ("a.webp", "a.avif", "a.png"):
        path = save(frames[0], name, save_all=True, append_images=frames[1:])
        with pytest.raises(ImageError, match="several frames"):
            read_image(path)
