"""An encoder-decoder with attention, trained with teacher forcing on sequences of unlike lengths.

Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine Translation (2015).
"""

import numpy as np
from sklearn.datasets import load_digits

import weft
from weft import layers

PAD, FIRST_DIGIT, START, VOCABULARY = 0, 1, 11, 12
LONGEST = 6


class Translator(weft.Model):
    """Scores of each next token, from the source and the target so far."""

    def __init__(self):
        super().__init__()
        self.read_source = layers.Embedding(VOCABULARY, 24, mask_zero=True)
        self.read_target = layers.Embedding(VOCABULARY, 24, mask_zero=True)
        self.encoder = layers.LSTM(48, return_sequences=True, return_state=True)
        self.decoder = layers.LSTM(48, return_sequences=True)
        self.attention = layers.Attention()
        self.join = layers.Concatenate()
        self.combine = layers.Dense(48, activation="tanh")
        self.score = layers.Dense(VOCABULARY)

    def call(self, inputs):
        memory, *state = self.encoder(self.read_source(inputs["source"]))
        states = self.decoder(self.read_target(inputs["target"]), initial_state=state)
        context = self.attention([states, memory])
        return self.score(self.combine(self.join([states, context])))


def sequences(count, rng):
    """Runs of the labels of scanned digits, and the same backwards, padded."""
    labels = load_digits().target + FIRST_DIGIT
    source = np.zeros((count, LONGEST), "int32")
    target = np.zeros((count, LONGEST), "int32")
    for i in range(count):
        length = rng.integers(2, LONGEST + 1)
        begin = rng.integers(len(labels) - length)
        source[i, :length] = labels[begin : begin + length]
        target[i, :length] = source[i, :length][::-1]
    return source, target


def shifted(target):
    """What the decoder sees before each token: the start, then the tokens before it."""
    before = np.where(target[:, 1:] == PAD, PAD, target[:, :-1])
    return np.concatenate([np.full((len(target), 1), START, "int32"), before], 1)


def decode(model, source):
    """Greedily, each token from those decoded so far."""
    decoded = np.zeros((len(source), LONGEST), "int32")
    seen = np.zeros((len(source), LONGEST), "int32")
    for i in range(LONGEST):
        seen[:, i] = START if i == 0 else decoded[:, i - 1]
        scores = model.predict_on_batch({"source": source, "target": seen})
        decoded[:, i] = np.where(source[:, i] == PAD, PAD, np.asarray(scores)[:, i].argmax(-1))
    return decoded


def test_an_encoder_decoder_learns_to_reverse():
    rng = np.random.default_rng(0)
    source, target = sequences(3000, rng)
    model = Translator()
    model.compile(
        weft.optimizers.Adam(5e-3),
        weft.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        {"source": source, "target": shifted(target)}, target, batch_size=100, epochs=8, verbose=0
    )
    unseen, expected = sequences(300, rng)
    correct = (decode(model, unseen) == expected).all(1).mean()
    assert correct > 0.95

    # Padding changes nothing: neither the scores nor the loss.
    inputs = {"source": unseen, "target": shifted(expected)}
    padded = {k: np.pad(v, [(0, 0), (0, 3)]) for k, v in inputs.items()}
    np.testing.assert_allclose(
        model(padded).numpy()[:, :LONGEST][expected != PAD],
        model(inputs).numpy()[expected != PAD],
        rtol=1e-4,
        atol=1e-4,
    )
    whole = model.evaluate(inputs, expected, batch_size=300, verbose=0)
    longer = model.evaluate(padded, np.pad(expected, [(0, 0), (0, 3)]), batch_size=300, verbose=0)
    np.testing.assert_allclose(whole, longer, rtol=1e-4)
