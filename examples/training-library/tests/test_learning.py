"""That models learn. These tests are not marked, and run as ever."""


def test_the_loss_falls(trainer, labelled):
    inputs, labels = labelled(256)
    losses = [trainer.step(inputs, labels) for _ in range(20)]
    assert losses[-1] < losses[0]
