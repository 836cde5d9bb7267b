"""What comes out of the pipeline. These tests are not marked, and run as ever."""

from photo_input import BATCH, SIDE, batches


def test_batches_are_ready_for_training(photographs):
    images = next(iter(batches(photographs)))
    assert images.shape == (BATCH, SIDE, SIDE, 3)
    assert 0 <= float(images.numpy().min()) < float(images.numpy().max()) <= 1


def test_the_pipeline_never_ends(photographs):
    assert len(list(batches(photographs[:2]).take(5))) == 5
