"""What the service answers. These tests are not marked, and run as ever."""

import pytest


def test_probabilities_add_up_to_one(classifier, photographs):
    assert float(sum(classifier.one(photographs(1)[0]))) == pytest.approx(1, abs=1e-5)


def test_a_batch_is_answered_as_its_photographs_are(classifier, photographs):
    images = photographs(3)
    together = classifier.many(images)
    for image, answer in zip(images, together, strict=True):
        assert classifier.one(image).numpy() == pytest.approx(answer.numpy(), abs=1e-5)
