"""Each thread builds its own pending work; a value may be read from any."""

import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import Op, Variable, as_tensor, flush, function, program

mean = Op(lambda x: jnp.mean(x), "mean")


def in_thread(work):
    """Run in another thread; its exception is this one's."""
    found = []

    def target():
        try:
            found.append((work(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=target)
    thread.start()
    return thread, found


def result(job):
    thread, found = job
    thread.join(30)
    assert not thread.is_alive()
    value, error = found[0]
    if error is not None:
        raise error
    return value


def test_another_thread_reads_pending_work():
    v = Variable(np.ones(3, "float32"))
    y = v * 3.0
    assert result(in_thread(lambda: y.numpy().tolist())) == [3.0] * 3
    assert result(in_thread(lambda: (y + 1.0).numpy().tolist())) == [4.0] * 3
    v.assign_add(y)
    assert result(in_thread(lambda: v.numpy().tolist())) == [4.0] * 3
    assert v.numpy().tolist() == [4.0] * 3


def test_reading_the_same_value_of_each_step_compiles_once():
    v = Variable(np.ones(3, "float32"))
    made = set()
    for k in range(4):
        y = v * float(k)
        z = y + 1.0
        assert result(in_thread(lambda y=y: y.numpy()[0])) == k
        made.add(len(program.programs.kept))
        z.numpy()
    # The snapshot's program and the loop's own.
    assert max(made) - min(made) <= 1


def test_work_of_a_thread_that_is_gone():
    y = result(in_thread(lambda: as_tensor(np.ones(3, "float32")) * 2.0))
    assert (y + 1.0).numpy().tolist() == [3.0] * 3


def test_a_value_read_while_its_owner_goes_on_recording():
    stop = threading.Event()
    box = [as_tensor(np.zeros(3, "float32"))]

    def reader():
        seen = 0
        while not stop.is_set() or not seen:
            index, value = int((got := box[0])[0]), got.numpy()
            assert (value == index).all()
            seen += 1
        return seen

    job = in_thread(reader)
    for k in range(300):
        box[0] = as_tensor(np.full(3, k, "float32")) * 1.0
        if k % 7 == 0:
            box[0].numpy()
    stop.set()
    assert result(job) > 0


@pytest.mark.parametrize("how", ["function", "lazy"])
def test_a_variable_read_while_the_main_thread_trains(how):
    v = Variable(np.zeros(2000, "float32"))
    stop = threading.Event()

    def step():
        v.assign_add(np.float32(1.0))

    run = function(step) if how == "function" else step

    def reader():
        last = 0.0
        while not stop.is_set():
            for value in (v.numpy(), np.asarray(v.array()), np.asarray(v.value), v[:].numpy()):
                assert (value == value[0]).all()
                assert value[0] >= last
                last = value[0]
        return last

    jobs = [in_thread(reader) for _ in range(2)]
    for _ in range(400):
        run()
        flush()
    stop.set()
    for job in jobs:
        result(job)
    assert (v.numpy() == 400.0).all()


def test_threads_train_variables_of_their_own():
    def train(seed):
        w = Variable(np.ones((3, 2), "float32"))
        x = np.full((4, 3), seed, "float32")
        for _ in range(20):
            with weft.GradientTape() as tape:
                loss = mean((x @ w) ** 2)
            w.assign_sub(0.01 * tape.gradient(loss, w))
        return w.numpy()

    alone = [train(k) for k in range(3)]
    together = [result(job) for job in [in_thread(lambda k=k: train(k)) for k in range(3)]]
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(one, other)


def test_threads_that_replace_one_variables_value_at_once():
    """As the threads of a parallel map that draws random numbers: each copies or has it alone."""
    weft.random.set_seed(0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        jobs = [
            in_thread(lambda: [weft.random.uniform((3,)).numpy() for _ in range(200)])
            for _ in range(4)
        ]
        for job in jobs:
            assert len(result(job)) == 200
    finally:
        sys.setswitchinterval(interval)
