import io

import numpy as np
import pytest
from elic_runtime import ImageError
from elic_runtime.images import container_files, image_files, read_image, write_image
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


@pytest.mark.parametrize("mode", ["CMYK", "F", "LAB"])
def test_modes_without_one_meaning_are_refused(save, mode):
    picture = Image.new(mode, (8, 8))
    with pytest.raises(ImageError, match=f"{mode} pixels are not coded"):
        read_image(save(picture, "image.tif"))


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
    with pytest.raises((TypeError, ValueError)):
        write_image(tmp_path / "bad.png", rgb.astype(np.complex64))
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


def test_thirty_two_bit_samples_are_refused(save):
    with pytest.raises(ImageError, match="I pixels are not coded"):
        read_image(save(Image.new("I", (8, 8)), "image.tif"))


def test_folders_list_their_images_in_order(tmp_path, rgb):
    for name in ("b.png", "a.PNG", "notes.txt", "c.elic"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in image_files(tmp_path)] == ["a.PNG", "b.png"]
    assert [p.name for p in container_files(tmp_path)] == ["c.elic"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no images in this folder"):
        image_files(tmp_path / "empty")
