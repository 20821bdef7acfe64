"""What a device does all day: thousands of images in one process, threads that share a codec, and kills."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from elic_runtime import Codec, read_info
from elic_runtime.images import write_image

pytestmark = pytest.mark.slow

ROUNDS = 2000
THREADS = 8
SECONDS = float(os.environ.get("ELIC_SOAK_SECONDS", "10"))
"""How long threads share a codec; set it to 180 before a release."""


def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def image_of(cat, rng):
    height, width = rng.integers(1, 193), rng.integers(1, 257)
    top, left = rng.integers(0, 300 - height), rng.integers(0, 451 - width)
    return cat[top : top + height, left : left + width]


def test_memory_stays_flat_over_thousands_of_images(dynamic_path, cat):
    codec = Codec.load(dynamic_path)
    rng = np.random.default_rng(0)
    seen = []
    for done in range(ROUNDS):
        image = image_of(cat, rng)
        assert codec.decompress(codec.compress(image)).shape == image.shape
        if done % 100 == 99:
            seen.append(resident_mb())
    # ONNX Runtime's arenas grow until they have met the largest shapes: a quarter of the rounds is enough for that.
    settled = seen[len(seen) // 4 :]
    assert max(settled) <= 1.05 * settled[0], seen


def test_threads_share_a_codec_for_long(dynamic_path, cat):
    codec = Codec.load(dynamic_path, threads=1)
    expected = {}
    for seed in range(THREADS):
        image = image_of(cat, np.random.default_rng(seed))
        data = codec.compress(image)
        expected[seed] = (image, data, codec.decompress(data))
    end = time.monotonic() + SECONDS

    def work(first):
        rounds = 0
        while time.monotonic() < end:
            image, data, picture = expected[(first + rounds) % THREADS]
            assert codec.compress(image) == data
            assert np.array_equal(codec.decompress(data), picture)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(THREADS) as pool:
        assert min(pool.map(work, range(THREADS))) > 3


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_kill_in_the_middle_of_a_folder_leaves_whole_files(bundle_path, cat, tmp_path, kind):
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    photographs.mkdir()
    for i in range(200):
        write_image(photographs / f"{i:03}.png", cat[i : i + 100, : 200 + i])
    command = [sys.executable, "-m", "elic_runtime", "compress", photographs, out, "--bundle", bundle_path]
    for at_least in (1, 5, 9):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not out.exists() or len(list(out.glob("*.elic"))) < at_least:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(kind)
        assert process.wait(timeout=60) == (143 if kind == signal.SIGTERM else -kind)
        files = list(out.glob("*.elic"))
        assert at_least <= len(files) < 200
        for path in files:
            assert read_info(path.read_bytes()).size == path.stat().st_size
        if kind == signal.SIGTERM:
            assert sorted(out.iterdir()) == sorted(files)
        shutil.rmtree(out)
