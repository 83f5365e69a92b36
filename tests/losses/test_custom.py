"""Losses as users write them: through compile and fit, and in a loop."""

import keras
import numpy as np
import pytest

import weft
from weft import losses, tf

rng = np.random.default_rng(5)
X = rng.normal(size=(32, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype("float32")


class Asymmetric(losses.Loss):
    """Predicting too little costs more than predicting too much."""

    def __init__(self, under=3.0, **kwargs):
        super().__init__(**kwargs)
        self.under = under

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        return tf.reduce_mean(tf.where(error > 0, self.under * error, -error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "under": self.under}


class Several(losses.Loss):
    """A regression and a classification out of one output: columns 0 and 1."""

    def __init__(self, share=0.25, **kwargs):
        super().__init__(**kwargs)
        self.share = share
        self.value = losses.Huber(reduction="none")
        self.sign = losses.BinaryCrossentropy(from_logits=True, reduction="none")

    def call(self, y_true, y_pred):
        value = self.value(y_true[:, :1], y_pred[:, :1])
        sign = self.sign(y_true[:, 1:], y_pred[:, 1:])
        return (1 - self.share) * value + self.share * sign


class Balanced(losses.Loss):
    """A share that is a variable: whoever sets it changes the loss from the next step on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.share = weft.Variable(0.0, trainable=False)

    def call(self, y_true, y_pred):
        square = losses.mean_squared_error(y_true, y_pred)
        return (1 - self.share) * square + self.share * losses.mean_absolute_error(y_true, y_pred)


def linear(units=1, loss="mse", rate=0.1, **options):
    model = weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(units)])
    model.compile(weft.optimizers.SGD(rate), loss, **options)
    return model


def test_asymmetric_penalties():
    loss = Asymmetric(2.0, reduction="none")
    assert loss(np.array([[1.0], [1.0]]), np.array([[0.0], [3.0]])).tolist() == [2.0, 2.0]
    noisy = Y + rng.normal(size=Y.shape).astype("float32")
    shares = []
    for under in (9.0, 1 / 9):
        model = linear(loss=Asymmetric(under), rate=0.05)
        model.fit(X, noisy, epochs=60, batch_size=32, verbose=0)
        shares.append((model.predict(X, verbose=0) < noisy).mean())
    assert shares[0] < 0.3 < 0.7 < shares[1]  # quantiles 1/10 and 9/10


def test_several_losses_in_one():
    targets = np.concatenate([Y, (Y > 0).astype("float32")], 1)
    model = linear(2, Several(0.25))
    outputs = model.predict(X, verbose=0)
    expected = 0.75 * np.asarray(keras.losses.huber(Y, outputs[:, :1])) + 0.25 * np.asarray(
        keras.losses.binary_crossentropy(targets[:, 1:], outputs[:, 1:], from_logits=True)
    )
    weight = rng.uniform(size=32).astype("float32")
    value = model.evaluate(X, targets, batch_size=32, sample_weight=weight, verbose=0)
    assert value == pytest.approx(np.mean(expected * weight), 1e-4)
    history = model.fit(X, targets, epochs=30, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_unlike_tasks_with_a_loss_each():
    inputs = weft.Input((3,))
    shared = weft.layers.Dense(4, activation="tanh")(inputs)
    outputs = {
        "value": weft.layers.Dense(1, name="value")(shared),
        "sign": weft.layers.Dense(1, name="sign")(shared),
    }
    model = weft.Model(inputs, outputs)
    weights = {"value": 1.0, "sign": 0.5}
    model.compile(
        weft.optimizers.Adam(0.05),
        {"value": Asymmetric(), "sign": losses.BinaryFocalCrossentropy(from_logits=True)},
        loss_weights=weights,
    )
    targets = {"value": Y, "sign": (Y > 0).astype("float32")}
    logs = model.fit(X, targets, epochs=20, batch_size=32, verbose=0).history
    total = sum(weights[k] * np.array(logs[f"{k}_loss"]) for k in weights)
    np.testing.assert_allclose(logs["loss"], total, 1e-5)
    assert logs["loss"][-1] < logs["loss"][0]


def test_a_variable_in_a_loss_changes_it_without_a_compile():
    loss = Balanced()
    seen = []

    class Turn(weft.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            loss.share.assign(epoch / 4)
            seen.append(weft.config.compile_count())

    model = linear(loss=loss, rate=0.0)
    logs = model.fit(X, Y, epochs=5, batch_size=16, verbose=0, callbacks=[Turn()]).history["loss"]
    error = Y - model.predict(X, verbose=0)
    square, absolute = np.mean(error**2), np.mean(np.abs(error))
    shares = np.arange(5) / 4
    np.testing.assert_allclose(logs, (1 - shares) * square + shares * absolute, 1e-5)
    assert seen[-1] == seen[1]  # whatever the first epoch needed


def test_a_variable_in_a_loss_changes_it_in_a_loop():
    loss, model = Balanced(), weft.Sequential([weft.layers.Input((3,)), weft.layers.Dense(1)])
    optimizer = weft.optimizers.SGD(0.05)
    values, counts = [], []
    for step in range(6):
        loss.share.assign(step % 2)
        with weft.GradientTape() as tape:
            value = loss(Y, model(X, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        values.append(float(value))
        counts.append(weft.config.compile_count())
    assert values[4] < values[0] and values[5] < values[1]
    assert counts[-1] == counts[2]


def test_a_lambda_is_a_loss():
    model = linear(loss=lambda y_true, y_pred: weft.ops.mean((y_true - y_pred) ** 2, axis=-1))
    named = linear()
    named.set_weights(model.get_weights())
    logs, expected = (
        m.fit(X, Y, epochs=3, batch_size=16, verbose=0, shuffle=False).history["loss"]
        for m in (model, named)
    )
    np.testing.assert_allclose(logs, expected, 1e-5)


def test_a_loss_of_weft_tf_functions():
    def smooth(y_true, y_pred):
        error = tf.abs(tf.cast(y_true, tf.float32) - y_pred)
        small = tf.minimum(error, 1.0)
        return tf.reduce_mean(small * (error - 0.5 * small), axis=-1)

    model, built_in = linear(loss=smooth), linear(loss="huber")
    built_in.set_weights(model.get_weights())
    for m in (model, built_in):
        m.fit(X, Y, epochs=3, batch_size=16, verbose=0, shuffle=False)
    for mine, theirs in zip(model.get_weights(), built_in.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-4, 1e-6)


def test_a_function_is_given_targets_of_its_predictions_rank():
    """Keras gives flat targets the last axis of the outputs of one unit, so this is no n × n."""
    model = linear(loss=lambda y_true, y_pred: weft.ops.mean((y_true - y_pred) ** 2))
    flat = model.evaluate(X, Y[:, 0], verbose=0, batch_size=32)
    assert flat == pytest.approx(model.evaluate(X, Y, verbose=0, batch_size=32), 1e-6)
    steps = losses.LossFunctionWrapper(lambda t, p: t - p, reduction="none")
    assert steps(np.ones((4, 3, 1)), np.ones((4, 3))).shape == (4, 3)


def test_custom_losses_are_found_when_a_config_is_read():
    loss = Asymmetric(4.0, name="mine", reduction="sum")
    written = losses.serialize(loss)
    twin = losses.deserialize(written, custom_objects={"Asymmetric": Asymmetric})
    assert type(twin) is Asymmetric and twin.get_config() == loss.get_config()
    assert twin.under == 4.0 and float(twin(Y, 0 * Y)) == float(loss(Y, 0 * Y))
    with pytest.raises(ValueError, match="unknown loss 'Asymmetric'"):
        losses.deserialize(written)


def test_registered_losses_are_found_by_their_package():
    @weft.utils.register_keras_serializable(package="custom_losses_tests")
    class Cubed(losses.Loss):
        def call(self, y_true, y_pred):
            return weft.ops.mean(weft.ops.abs(y_true - y_pred) ** 3, axis=-1)

    written = losses.serialize(Cubed(reduction="sum"))
    assert written["registered_name"] == "custom_losses_tests>Cubed"
    twin = losses.deserialize(written)
    assert type(twin) is Cubed and twin.reduction == "sum"
    assert type(losses.get("custom_losses_tests>Cubed")) is Cubed


def test_losses_of_symbolic_tensors_are_added_to_a_model():
    """An autoencoder of Keras 2: the loss is written with the model's own tensors."""
    inputs = weft.Input((3,))
    outputs = weft.layers.Dense(3)(inputs)
    for loss in (losses.mse, losses.MeanSquaredError(), losses.Huber(delta=1e9)):
        model = weft.Model(inputs, outputs)
        model.add_loss(weft.ops.mean(loss(inputs, outputs)))
        model.compile(weft.optimizers.SGD(0.1))
        logs = model.fit(X, epochs=2, batch_size=32, verbose=0).history["loss"]
        assert logs[1] < logs[0]


def test_a_subclass_of_a_built_in_loss():
    class Weighted(losses.SparseCategoricalCrossentropy):
        def __init__(self, weights, **kwargs):
            super().__init__(from_logits=True, **kwargs)
            self.weights = weights

        def call(self, y_true, y_pred):
            weights = weft.ops.take(weft.ops.array(self.weights), weft.ops.cast(y_true, "int32"))
            return super().call(y_true, y_pred) * weights

    labels, logits = np.array([0, 1, 1]), rng.normal(size=(3, 2)).astype("float32")
    plain = losses.sparse_categorical_crossentropy(labels, logits, from_logits=True).numpy()
    weighted = Weighted([1.0, 5.0], reduction="none")(labels, logits)
    np.testing.assert_allclose(weighted.numpy(), plain * [1, 5, 5], 1e-6)


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"the loss function <lambda> returned None\. End it with `return`"),
        (3.0, r"returned 3\.0, of type float, through which there is no gradient.*weft\.ops"),
        (np.float32(2), r"returned np\.float32\(2\.0\), of type float32.* has the loss None"),
        (np.ones(16), r"of type ndarray, through which there is no gradient"),
        ("much", r"returned 'much', of type str"),
    ],
    ids=str,
)
def test_functions_that_return_no_loss(returned, message):
    model = linear(loss=lambda y_true, y_pred: returned)
    before = model.get_weights()
    with pytest.raises(TypeError, match=message):
        model.fit(X, Y, batch_size=16, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(model.optimizer.iterations) == 0


def test_numbers_are_losses_where_no_gradient_is_taken():
    assert float(losses.LossFunctionWrapper(lambda y_true, y_pred: 3)(Y, Y)) == 3


def test_a_call_that_returns_nothing():
    class Nothing(losses.Loss):
        def call(self, y_true, y_pred):
            weft.ops.mean(y_true - y_pred)

    with pytest.raises(TypeError, match=r"Nothing\.call returned None\. End it with `return`"):
        Nothing()(Y, Y)


@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,))], ids=str)
def test_a_call_that_pairs_every_target_with_every_prediction(shapes):
    class Crossed(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true - y_pred) ** 2

    with pytest.raises(weft.ShapeError) as error:
        Crossed()(*map(np.ones, shapes))
    assert (
        f"Crossed.call returned shape (4, 4) for y_true of shape {shapes[0]} and y_pred of shape "
        f"{shapes[1]}: each target was paired with every prediction"
    ) in str(error.value)


def test_a_call_of_another_rank_than_its_weights():
    class Total(losses.Loss):
        def call(self, y_true, y_pred):
            return weft.ops.sum(y_true - y_pred, axis=0)

    weight = np.ones(32)
    with pytest.raises(
        weft.ShapeError,
        match=r"Total\.call returned shape \(1,\): sample_weight of shape \(32,\) does not fit",
    ):
        Total()(Y, Y, weight)
    model = linear(loss=Total())
    before = model.get_weights()
    with pytest.raises(weft.ShapeError, match=r"Total\.call returned shape \(1,\)"):
        model.fit(X, Y, sample_weight=weight, batch_size=16, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
