"""How many threads for a request, and how many for a batch?"""

import pytest

BATCH = 32


@pytest.mark.tf_threads(intra=[1, "physical"], inter=1)
def test_request(tf_benchmark, classifier, photographs):
    """One photograph: there is little in it for many threads to do."""
    image = photographs(1)[0]
    answer = tf_benchmark(classifier.one, image, items=1, unit="images")
    assert answer.shape == (10,)


@pytest.mark.tf_threads(configs=[(1, 1), ("physical", 1), ("auto", "auto")])
def test_batch(tf_benchmark, classifier, photographs):
    """The batch of the night; "auto" is what TensorFlow chooses where nobody says anything."""
    images = photographs(BATCH)
    answers = tf_benchmark(classifier.many, images, items=BATCH, unit="images")
    assert answers.shape == (BATCH, 10)
