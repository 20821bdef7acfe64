import pytest
from elic_runtime import ImageError
from elic_runtime.images import container_files, image_files


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.PNG", "d.AVIF", "e.Heic", "notes.txt", "c.elic", "C2.ELIC", "f.gif", ".hidden", "g.eps"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_folders_list_their_files_in_order_whatever_the_case(folder):
    assert names(image_files(folder)) == ["a.PNG", "b.png", "d.AVIF", "e.Heic"]
    assert names(container_files(folder)) == ["C2.ELIC", "c.elic"]
    with pytest.raises(ImageError, match="no images in this folder"):
        image_files(folder / "more")


def test_what_is_left_out_is_said_in_one_line(folder):
    said = []
    image_files(folder, said.append)
    assert said == [f"{folder}: left out, since they are not images: C2.ELIC, c.elic, f.gif, g.eps and 2 more"]
    for name in ("C2.ELIC", "c.elic", "f.gif", "g.eps", "notes.txt"):
        (folder / name).unlink()
    image_files(folder, said.append)
    assert said[1:] == [f"{folder}: left out, since they are not images: more/"]
    (folder / "more").rmdir()
    image_files(folder, said.append)
    assert len(said) == 2
