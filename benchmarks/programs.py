"""Counts the programs that each training loop compiles while its learning rate keeps changing."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.cases import CASES

STEPS = 12


class CompileCounter:
    """Counts weft's programs, and XLA's compilations as JAX itself reports them."""

    def __init__(self):
        import jax.monitoring

        self.xla = 0
        jax.monitoring.register_event_duration_secs_listener(self._event)

    def _event(self, name: str, seconds: float, **_: object) -> None:
        if "backend_compile" in name:
            self.xla += 1

    def read(self) -> tuple[int, int]:
        """(weft's programs, XLA's compilations) so far."""
        import weft

        return weft.config.compile_count(), self.xla


def rate(i: int) -> float:
    """A learning rate that no other step has."""
    return 1e-3 / (i + 1)


def programs() -> dict[str, int]:
    """Programs compiled after the second step, by loop: weft's count, and XLA's."""
    import weft
    from benchmarks import models_weft

    case = CASES["mlp_small"]
    x, y = case.data(STEPS)
    batches = case.batches(x, y)
    counter = CompileCounter()

    def compiled(kind: type | None = None):
        model = kind() if kind else weft.Sequential(_dense())
        model.compile(
            optimizer=weft.optimizers.Adam(rate(0)),
            loss=weft.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    def _dense():
        return [weft.layers.Dense(64, activation="relu"), weft.layers.Dense(10)]

    class OwnStep(weft.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = _dense()

        def call(self, x):
            return self.out(self.hidden(x))

        def train_step(self, data):
            x, y = data
            with weft.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compiled_loss(y, y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            self.compiled_metrics.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    class NewRate(weft.callbacks.Callback):
        """Sets the rate before each step and notes the counts after the second."""

        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = rate(batch)

        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.after_two = counter.read()

    def fit(model) -> tuple[int, int]:
        callback = NewRate()
        for _ in range(2):
            model.fit(x, y, batch_size=case.batch, shuffle=False, verbose=0, callbacks=[callback])
            if not hasattr(callback, "first"):
                callback.first = callback.after_two
        models_weft.wait(model)
        return callback.first

    def by_hand(optimizer, step: Callable) -> tuple[int, int]:
        for i, (bx, by) in enumerate(batches):
            optimizer.learning_rate = rate(i)
            loss = step(bx, by)
            if i == 1:
                after_two = counter.read()
        float(loss)
        return after_two

    def plain_loop() -> tuple[int, int]:
        run = models_weft.PlainLoop(weft.Sequential(_dense()))
        return by_hand(run.optimizer, run.step)

    def compiled_loop() -> tuple[int, int]:
        run = models_weft.PlainLoop(weft.Sequential(_dense()))
        return by_hand(run.optimizer, weft.function(run.step))

    def on_batch() -> tuple[int, int]:
        model = compiled()
        return by_hand(model.optimizer, lambda bx, by: model.train_on_batch(bx, by)[0])

    loops: dict[str, Callable[[], tuple[int, int]]] = {
        "fit": lambda: fit(compiled()),
        "fit, own train_step": lambda: fit(compiled(OwnStep)),
        "plain loop": plain_loop,
        "loop under weft.function": compiled_loop,
        "train_on_batch": on_batch,
    }
    counts = {}
    for name, loop in loops.items():
        before = loop()
        after = counter.read()
        for kind, was, now in zip(("weft", "XLA"), before, after, strict=True):
            counts[f"{name} ({kind})"] = now - was
    return counts
