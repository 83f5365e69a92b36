"""Recurrent layers: loops against plain Python, states, masks, a user's cells, errors."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.engine import ShapeError
from weft.kernels import recurrent as kernels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 3)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)


class Decay(layers.Layer):
    """A cell with a weight, made when built, and an output that is none of its states."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.output_size = units
        self.state_size = [units, units]

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        fast, slow = states
        fast = 0.5 * fast + weft.ops.matmul(inputs, self.kernel)
        slow = 0.9 * slow + fast
        return fast * slow, [fast, slow]


def by_hand(cell, x, mask):
    """Outputs and last states of a cell called step by step, in Python."""
    states = [np.zeros((len(x), cell.units), "float32") for _ in range(2)]
    y, outputs = np.zeros((len(x), cell.units), "float32"), []
    for t in range(x.shape[1]):
        now, new = cell(x[:, t], states)
        keep = mask[:, t, None]
        y = np.where(keep, now, y)
        states = [np.where(keep, a, b) for a, b in zip(new, states)]
        outputs.append(y)
    return np.stack(outputs, 1), states


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("cell", [Decay, layers.LSTMCell])
def test_a_sequence_is_its_steps(cell, unroll):
    layer = layers.RNN(cell(4), return_sequences=True, return_state=True, unroll=unroll)
    y, *states = layer(X, mask=MASK)
    expected, last = by_hand(layer.cell, X, MASK)
    for mine, theirs in zip([y, *states], [expected, *last]):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


class Slow(layers.LSTMCell):
    """An LSTM's step of the user's own: a loop runs it."""

    def call(self, inputs, states, training=False):
        return super().call(inputs, states, training=training)


def test_one_draw_of_dropout_serves_all_steps_of_a_loop_too():
    options = {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1}
    whole, loop = (
        layers.RNN([cell(4, **options), layers.GRUCell(3, **options)], return_sequences=True)
        for cell in (layers.LSTMCell, Slow)
    )
    whole(X), loop(X)
    loop.set_weights(whole.get_weights())
    first = whole(X, training=True).numpy()
    np.testing.assert_allclose(first, loop(X, training=True), rtol=1e-5, atol=1e-6)
    second = whole(X, training=True).numpy()
    np.testing.assert_allclose(second, loop(X, training=True), rtol=1e-5, atol=1e-6)
    assert (first != second).any()
    assert (whole(X).numpy() != first).any()


def test_weights_gradients_are_those_of_the_loop():
    class Slow(layers.GRUCell):
        def call(self, inputs, states, training=False):
            return super().call(inputs, states, training=training)

    for options in ({}, {"reset_after": False}, {"recurrent_dropout": 0.5, "seed": 3}):
        found = []
        for cell in (layers.GRUCell(4, **options), Slow(4, **options)):
            layer = layers.RNN(cell, return_sequences=True, go_backwards=True)
            layer(X)
            if found:
                layer.set_weights(found[0][0])
            with weft.GradientTape() as tape:
                loss = weft.ops.sum(layer(X, mask=MASK, training=True) ** 2)
            found.append((layer.get_weights(), tape.gradient(loss, layer.trainable_variables)))
        for mine, theirs in zip(found[0][1], found[1][1]):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_gradients_of_gradients(name):
    layer = getattr(layers, name)(2)
    x = weft.convert_to_tensor(X)
    layer(x)
    weight = layer.trainable_variables[1]
    value = weight.numpy()
    way = RNG.normal(size=value.shape).astype("float32")

    def squared_gradient():
        with weft.GradientTape() as outer:
            with weft.GradientTape() as inner:
                inner.watch(x)
                y = weft.ops.sum(layer(x, mask=MASK) ** 2)
            norm = weft.ops.sum(inner.gradient(y, x) ** 2)
        return float(norm), outer.gradient(norm, weight).numpy()

    slope = float((squared_gradient()[1] * way).sum())
    around = []
    for step in (1e-2, -1e-2):
        weight.assign(value + step * way)
        around.append(squared_gradient()[0])
    assert (around[0] - around[1]) / 2e-2 == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_the_products_of_inputs_and_weights_stand_outside_the_loop():
    """In the compiled loop there is no product but those with the recurrent kernel."""
    import jax
    import jax.numpy as jnp

    how = kernels.Recurrence(kernels.lstm, 4, 2, (jnp.tanh, jax.nn.sigmoid), (4,), (True,) * 4)
    weights = kernels.Weights(jnp.ones((3, 16)), jnp.ones((4, 16)), jnp.ones(16))

    def loss(x, weights):
        zero = jnp.zeros((2, 4))
        return kernels.recurrent(x, (zero, zero), weights, kernels.Given(), how, False)[1][0].sum()

    program = jax.make_jaxpr(jax.grad(loss, 1))(jnp.ones((5, 2, 3)), weights)
    scans = [e.params["jaxpr"] for e in program.eqns if e.primitive.name == "scan"]
    assert [str(body).count("dot_general") for body in scans] == [1, 1]


# -- states -----------------------------------------------------------------------------------


def test_a_stateful_layer_goes_on_where_it_was():
    layer = layers.LSTM(4, stateful=True, return_sequences=True)
    first, second = layer(X[:, :2]).numpy(), layer(X[:, 2:]).numpy()
    layer.reset_state()
    whole = layer(X).numpy()
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)
    kept = [v.numpy() for v in layer.states]
    np.testing.assert_array_equal(kept[0], whole[:, -1])
    layer.reset_states([np.ones((2, 4)), np.zeros((2, 4))])
    np.testing.assert_array_equal(layer.states[0].numpy(), np.ones((2, 4)))
    assert len(layer.weights) == 3
    with pytest.raises(
        ValueError, match=r"'lstm.*: its states have the shapes \[\(2, 4\), \(2, 4\)"
    ):
        layer.reset_states([np.ones((3, 4)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="not stateful"):
        layers.GRU(2).reset_state()


def test_a_stateful_layer_in_fit():
    given = weft.Input(batch_shape=(2, 5, 3))
    model = weft.Sequential([given, layers.GRU(4, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((2, 1)), batch_size=2, epochs=2, verbose=0)
    assert (model.layers[0].states[0].numpy() != 0).all()
    with pytest.raises(
        ShapeError, match=r"'gru.*stateful and was built for batches of 2, got .* 1"
    ):
        model.layers[0](X[:1])


def test_a_stateful_layer_needs_its_batch_size():
    with pytest.raises(ShapeError, match=r"'s' \(LSTM\).*must know its batch size"):
        layers.LSTM(2, stateful=True, name="s").build((None, 5, 3))


def test_initial_states_are_used_and_checked():
    layer = layers.LSTM(4, return_state=True)
    states = [RNG.normal(size=(2, 4)).astype("float32") for _ in range(2)]
    _, *middle = layer(X[:, :2], initial_state=states)
    y, *_ = layer(X[:, 2:], initial_state=middle)
    np.testing.assert_allclose(y, layer(X, initial_state=states)[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match=r"expected 2 initial states .* got 1 of shapes"):
        layer(X, initial_state=states[:1])
    with pytest.raises(ShapeError, match=r"\[\(2, 4\), \(2, 4\)\], got 2 of shapes \[\(2, 3\)"):
        layer(X, initial_state=[s[:, :3] for s in states])


def test_a_cell_with_first_states_of_its_own():
    class Begins(layers.SimpleRNNCell):
        def get_initial_state(self, batch_size=None):
            return [weft.ops.ones((batch_size, self.units))]

    own, plain = layers.RNN(Begins(4)), layers.SimpleRNN(4)
    own(X), plain(X)
    plain.set_weights(own.get_weights())
    ones = [np.ones((2, 4), "float32")]
    np.testing.assert_allclose(own(X), plain(X, initial_state=ones), rtol=1e-6)


def test_nested_states():
    class Nested(layers.Layer):
        state_size = ([3, 3], 3)

        def call(self, inputs, states):
            (a, b), c = states
            return a + b + c, ([a + inputs, b + 1], c * 0.5 + a)

    _, pair, last = layers.RNN(Nested(), return_state=True)(X)
    np.testing.assert_allclose(pair[0], X.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(pair[1], np.full((2, 3), 5.0))
    assert last.shape == (2, 3)


# -- masks ------------------------------------------------------------------------------------


def test_padding_changes_nothing():
    ids = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
    model = weft.Sequential(
        [
            layers.Embedding(6, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(3),
        ]
    )
    whole = model(ids).numpy()
    np.testing.assert_allclose(whole[:1], model(ids[:1, :3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole[1:], model(ids[1:, :2]), rtol=1e-5, atol=1e-6)


def test_masks_travel_on_with_the_outputs():
    x = layers.Masking()(weft.convert_to_tensor(X * MASK[..., None]))
    y, _ = layers.GRU(2, return_sequences=True, return_state=True)(x)
    np.testing.assert_array_equal(y._keras_mask, MASK)
    assert layers.GRU(2)(x)._keras_mask is None


def test_masks_of_images_skip_steps():
    x = RNG.normal(size=(2, 4, 6, 2)).astype("float32")
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1]], bool)
    layer = layers.ConvLSTM1D(2, 3)
    y = layer(x, mask=mask).numpy()
    np.testing.assert_allclose(y[:1], layer(x[:1, :2]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y[1:], layer(x[1:, [1, 3]]), rtol=1e-5, atol=1e-6)


def test_time_distributed_hands_each_step_its_mask():
    x = RNG.normal(size=(2, 3, 5, 3)).astype("float32")
    mask = x[..., 0] > 0
    layer = layers.TimeDistributed(layers.GRU(2))
    y = layer(x, mask=mask)
    for t in range(3):
        expected = layer.layer(x[:, t], mask=mask[:, t])
        np.testing.assert_allclose(y[:, t], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match=r"mask must begin with \(2, 3\)"):
        layer(x, mask=mask[:, :2])


# -- a user's parts ---------------------------------------------------------------------------


def test_a_cell_with_layers_and_seeds_inside_learns_in_fit():
    class Cell(layers.Layer):
        state_size = 8

        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.1, seed=1)
            self.dense = layers.Dense(8, activation="tanh")

        def call(self, inputs, states, training=False):
            joined = weft.ops.concatenate([self.drop(inputs, training=training), states[0]], -1)
            h = self.dense(joined)
            return h, [h]

    weft.random.set_seed(0)
    x = RNG.normal(size=(64, 6, 2)).astype("float32")
    y = x[:, :, :1].sum(1)
    model = weft.Sequential([layers.RNN(Cell()), layers.Dense(1)])
    model.compile(weft.optimizers.Adam(0.02), "mse")
    model(x[:1])
    cell = model.layers[0].cell
    drawn = cell.drop.seed_generator.state.numpy()[1]
    losses = model.fit(x, y, batch_size=16, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert cell.drop.seed_generator.state.numpy()[1] == drawn + 15 * 4 * 6  # each step draws


def test_activations_of_the_users_own():
    theirs = layers.LSTM(3, activation=lambda x: weft.ops.tanh(x) * 2.0 - 0.5)
    layer = layers.LSTM(3, activation=layers.LeakyReLU(0.2))
    y = layer(X)
    np.testing.assert_allclose(y, layers.RNN(layer.cell)(X), rtol=1e-6)
    assert theirs(X).shape == y.shape
    with pytest.raises(ValueError, match=r"activation here is .* PReLU uses variables"):
        layers.LSTM(3, activation=layers.PReLU())(X)


def test_attributes_are_the_cells():
    layer = layers.GRU(3, dropout=0.2, kernel_regularizer="l2", use_cudnn=False, implementation=1)
    assert (layer.units, layer.dropout, layer.reset_after) == (3, 0.2, True)
    assert layer.kernel_regularizer is layer.cell.kernel_regularizer
    assert [w.path.split("/")[1:] for w in layers.LSTM(2).weights] == []
    layer(X)
    assert [w.path.split("/", 1)[1] for w in layer.weights] == [
        f"gru_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")
    ]


# -- both directions --------------------------------------------------------------------------


def test_both_directions_are_two_layers():
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="a"), merge_mode=None)
    forward, backward = both(X)
    assert (both.forward_layer.name, both.backward_layer.name) == ("forward_a", "backward_a")
    np.testing.assert_allclose(forward, both.forward_layer(X))
    np.testing.assert_allclose(backward, both.backward_layer(X)[:, ::-1])
    again = layers.Bidirectional.from_config(both.get_config())
    assert again.get_config() == both.get_config()
    values = [np.full(w.shape, 0.1, "float32") for w in both.weights]
    given = layers.Bidirectional(layers.LSTM(3), weights=values)
    given(X)
    np.testing.assert_array_equal(given.get_weights()[3], values[3])


def test_states_of_both_directions():
    both = layers.Bidirectional(layers.GRU(3, stateful=True, return_state=True))
    _, forward, backward = both(X)
    np.testing.assert_array_equal(both.states[0].numpy(), forward)
    np.testing.assert_array_equal(both.states[1].numpy(), backward)
    both.reset_state()
    assert not both.states[1].numpy().any()
    with pytest.raises(ShapeError, match=r"first states of two layers.*got 1 states"):
        both(X, initial_state=[forward])


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.LSTM(0), r"LSTMCell: units must be a positive integer, got units=0"),
        (lambda: layers.GRU(2.5), r"GRUCell: units must be a positive integer"),
        (lambda: layers.LSTM(2, activation="tahn"), "unknown activation 'tahn'.*tanh"),
        (lambda: layers.LSTM(2, dropout=1.5), r"dropout must be a number in \[0, 1\]"),
        (lambda: layers.GRU(2, recurrent_dropout=-1), r"recurrent_dropout must be a number in"),
        (lambda: layers.LSTM(2, time_major=True), "time_major=True is not offered"),
        (lambda: layers.RNN(layers.Dense(2)), r"a cell has a method call.* state_size, got <Dense"),
        (lambda: layers.RNN(layers.LSTMCell), r"Make one of it first"),
        (lambda: layers.RNN([]), "at least one cell"),
        (lambda: layers.Bidirectional(layers.Dense(2)), r"takes a recurrent layer.*got <Dense"),
        (lambda: layers.Bidirectional(layers.LSTM(2), "max"), r"merge_mode is one of .*'max'"),
        (
            lambda: layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2)),
            "one layer must go backwards and the other not",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(2),
                backward_layer=layers.LSTM(2, go_backwards=True, return_sequences=True),
            ),
            "must have the same return_sequences, got False and True",
        ),
        (lambda: layers.TimeDistributed("dense"), "TimeDistributed wraps a layer"),
        (lambda: layers.ConvLSTM2D(0, 3), "ConvLSTM2D: filters must be a positive integer"),
        (lambda: layers.ConvLSTM2D(2, (3, 3, 3)), "kernel_size must be an int or 2 of them"),
        (
            lambda: layers.ConvLSTM1D(2, 3, strides=2, dilation_rate=2),
            "strides and dilation_rate cannot both be above 1",
        ),
        (lambda: layers.ConvLSTM1D(2, 3, padding="causal"), "padding is"),
    ],
)
def test_arguments_are_refused(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "text"),
    [
        (
            layers.LSTM(2, name="l"),
            X[0],
            r"'l' \(LSTM\).*expected an input of shape \(batch, steps",
        ),
        (layers.RNN(Decay(2), name="r"), X[0], r"'r' \(RNN\).*One feature a step gets an axis"),
        (layers.TimeDistributed(layers.Dense(2), name="t"), X[0], r"'t'.*\(batch, steps, \.\.\.\)"),
        (layers.ConvLSTM2D(2, 3, name="c"), X, r"expected steps of shape \(batch, rows, columns"),
        (
            layers.ConvLSTM1D(2, 3, name="c"),
            np.ones((1, 2, 2, 3), "float32"),
            r"'c' \(ConvLSTM1D\).*does not fit into steps",
        ),
    ],
)
def test_inputs_are_refused(layer, x, text):
    with pytest.raises(ShapeError, match=text):
        layer(x)


def test_other_features_and_masks_are_refused():
    layer = layers.GRU(2, name="g")
    layer(X)
    with pytest.raises(ShapeError, match=r"'g' \(GRU\).*steps of 3 features each, got .*\(2, 2\)"):
        layer(X[..., :2])
    with pytest.raises(ShapeError, match=r"mask must have shape \(2, 5\).*got \(2, 4\)"):
        layer(X, mask=MASK[:, :4])
    with pytest.raises(ShapeError, match="at least one step"):
        layer(X[:, :0])
    with pytest.raises(ShapeError, match="expected 2 states, got 1"):
        layers.LSTMCell(2)(X[:, 0], [np.zeros((2, 2), "float32")])


def test_cells_that_return_something_else_are_refused():
    class Odd(layers.Layer):
        state_size = 3

        def __init__(self, result):
            super().__init__()
            self.result = result

        def call(self, inputs, states):
            return self.result(inputs, states)

    with pytest.raises(ValueError, match=r"a cell returns \(output, new states\), Odd returned"):
        layers.RNN(Odd(lambda x, s: x))(X)
    with pytest.raises(ValueError, match="was given 1 states and returned 2"):
        layers.RNN(Odd(lambda x, s: (x, [x, x])))(X)
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) before f and \(2, 6\) after"):
        layers.RNN(Odd(lambda x, s: (x, [weft.ops.concatenate([x, x], -1)])))(X)
