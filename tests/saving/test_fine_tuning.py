"""A trained body under another head: its weights loaded, first kept, then trained with the rest."""

import numpy as np
import pytest

import weft

FEATURES, CLASSES = 6, 3


def network(classes, head):
    L = weft.layers
    body = weft.Sequential(
        [weft.Input((FEATURES,)), L.Dense(8, "tanh"), L.BatchNormalization()], name="body"
    )
    x = weft.Input((FEATURES,))
    h = L.Dense(4, "tanh", name="neck")(body(x))
    return weft.Model(x, L.Dense(classes, "softmax", name=head)(h))


def data(classes):
    random = np.random.default_rng(0)
    centers = 2 * random.standard_normal((classes, FEATURES))
    labels = np.arange(96) % classes
    x = centers[labels] + random.standard_normal((96, FEATURES))
    return x.astype("float32"), labels.astype("int32")


def trained(model, classes, epochs, rate):
    model.compile(weft.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model.fit(*data(classes), batch_size=32, epochs=epochs, verbose=0).history["loss"]


def held(model):
    """The values of each layer's weights."""
    return {layer.name: [w.tobytes() for w in layer.get_weights()] for layer in model.layers}


@pytest.mark.parametrize(
    "head, options, warned",
    [
        ("head", {"skip_mismatch": True}, r"(?s)of another shape or dtype \(2\).*for head/kernel"),
        ("other", {"by_name": True}, None),
        ("head", {"by_name": True, "skip_mismatch": True}, r"head/kernel \(4, 3\)"),
    ],
)
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_a_body_under_another_head(ending, head, options, warned, tmp_path):
    path = tmp_path / f"model{ending}"
    old = network(CLASSES + 2, "head")
    trained(old, CLASSES + 2, 2, 0.02)
    (old.save if ending == ".keras" else old.save_weights)(path)
    source, new = held(old), network(CLASSES, head)
    fresh = held(new)

    if warned is None:
        new.load_weights(path, **options)
    else:
        with pytest.warns(UserWarning, match=warned) as told:
            new.load_weights(path, **options)
        assert len(told) == 1
    loaded = held(new)
    assert loaded["body"] == source["body"] and loaded["neck"] == source["neck"]
    assert loaded[head] == fresh[head]

    body = new.get_layer("body")
    body.trainable = False  # its BatchNormalization keeps its statistics, too
    losses = trained(new, CLASSES, 3, 0.05)
    assert losses[-1] < losses[0]
    after = held(new)
    assert after["body"] == loaded["body"]
    assert after["neck"] != loaded["neck"] and after[head] != loaded[head]

    body.trainable = True
    more = trained(new, CLASSES, 2, 0.01)
    assert more[-1] < losses[0]
    assert all(a != b for a, b in zip(held(new)["body"], after["body"], strict=True))
