"""Batches made ahead: in a thread where that pays, which ends with its run."""

import gc
import threading
import time

import numpy as np
import pytest

import weft
from weft.data.threads import prefetched
from weft.training import sources
from weft.training.ahead import SLOW, TRIALS

X, Y = np.zeros((4, 1), "float32"), np.zeros((4, 1), "float32")


def weft_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("weft")]


def slow(count, made, cost=5 * SLOW):
    """Batches that take long; `made` gets the names of the threads that made them."""
    for _ in range(count):
        time.sleep(cost)
        made.append(threading.current_thread().name)
        yield X, Y


def model():
    made = weft.Sequential([weft.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_slow_batches_are_made_in_a_thread_and_quick_ones_are_not():
    for cost, names in ((5 * SLOW, {"MainThread", "weft-prefetch"}), (0, {"MainThread"})):
        made = []
        source = sources.source_for(slow(12, made, cost), steps=12)
        assert len(list(source.batches())) == 12
        assert set(made) == names
        assert made[: TRIALS + 1] == ["MainThread"] * (TRIALS + 1)
    assert not weft_threads()


def test_later_epochs_know_that_it_pays():
    made = []
    source = sources.source_for(slow(16, made), steps=8, continuing=True)
    for _ in range(2):
        assert len(list(source.batches())) == 8
    assert made[8:].count("MainThread") == 1  # an epoch's first batch is wanted at once


def test_a_thread_makes_the_same_batches():
    x = np.arange(60, dtype="float32")[:, None]
    found = []
    for pays in (False, True):
        weft.random.set_seed(1)
        source = sources.source_for(x, batch_size=7, shuffle=True)
        source._ahead.pays = pays
        found.append([batch.tolist() for _ in range(2) for batch in source.batches()])
    assert found[0] == found[1]


def test_the_position_is_that_of_the_batches_taken():
    source = sources.source_for(np.zeros((50, 1)), batch_size=5, shuffle=True)
    source._ahead.pays = True
    batches = source.batches()
    for _ in range(4):
        next(batches)
    time.sleep(0.02)  # the thread is ahead
    assert source.get_state() == {"seed": source.seed, "epoch": 0, "index": 4}
    source.close()


def test_no_thread_is_left_after_training():
    model().fit(slow(10, []), verbose=0)
    assert not weft_threads()


def test_stopping_early_ends_the_thread():
    class Stop(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 6

    history = model().fit(slow(100, []), epochs=3, verbose=0, callbacks=[Stop()])
    assert len(history.epoch) == 1
    assert not weft_threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_ends_the_thread(error):
    class Interrupt(weft.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 6:
                raise error

    trained = model()
    try:
        trained.fit(slow(100, []), verbose=0, callbacks=[Interrupt()])
    except error:
        pass
    else:
        raise AssertionError("the interrupt is the user's")
    gc.collect()
    assert not weft_threads()
    trained.fit(slow(6, []), verbose=0)


def test_closing_a_source_ends_its_thread_while_the_traceback_lives():
    source = sources.source_for(slow(100, []))
    source._ahead.pays = True
    batches = source.batches()
    next(batches), next(batches)
    assert weft_threads()
    source.close()
    assert not weft_threads()
    source.close()


# -- the thread itself ----------------------------------------------------------------------


def test_items_come_in_order_and_no_further_than_the_depth():
    made = []

    def note():
        for k in range(20):
            made.append(k)
            yield k

    items = prefetched(note(), 3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 1 + 3 + 1  # taken, ready, in work
    assert list(items) == list(range(1, 20))
    assert not weft_threads()


def test_an_exception_comes_in_its_turn_with_its_own_traceback():
    def broken():
        yield 1
        yield 2
        raise KeyError("boom")

    items = prefetched(broken(), 5)
    time.sleep(0.02)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError, match="boom") as caught:
        next(items)
    assert caught.traceback[-1].name == "broken"
    assert not weft_threads()


def test_a_reader_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("weft.data.threads.PATIENCE", 0.05)
    go_on = threading.Event()

    def stuck():
        yield 1
        go_on.wait()

    items = prefetched(stuck(), 1)
    assert next(items) == 1
    items.close()
    (name,) = weft_threads()
    go_on.set()
    (thread,) = [t for t in threading.enumerate() if t.name == name]
    thread.join(5)
    assert not weft_threads()
