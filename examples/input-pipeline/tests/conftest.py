"""Photographs on disk: smooth random images, for noise is decoded more slowly than photographs."""

import pytest


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Paths of 32 JPEG files of 128 × 128. Each measuring process has its own."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("photographs")
    files = []
    for number in range(32):
        rough = tf.random.stateless_uniform((8, 8, 3), seed=(number, 0), maxval=255.0)
        image = tf.cast(tf.image.resize(rough, (128, 128), method="bicubic"), tf.uint8)
        files.append(str(folder / f"{number}.jpg"))
        tf.io.write_file(files[-1], tf.io.encode_jpeg(image))
    return files
