"""PyDataset: batches by number, from one thread, several, or processes."""

import textwrap
import threading
import time

import numpy as np
import pytest

import weft
from weft.training import sources


class Numbers(weft.utils.PyDataset):
    def __init__(self, number=6, fails_at=None, **options):
        super().__init__(**options)
        self.number, self.fails_at = number, fails_at
        self.events = []

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        if index == self.fails_at:
            raise KeyError("boom")
        time.sleep(0.002 * (index % 2))  # workers finish out of order
        self.events.append((index, threading.current_thread().name))
        return np.full((2, 1), index, "float32"), np.zeros((2, 1), "float32")

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


def numbers(source):
    return [int(batch[0][0, 0]) for batch in source.batches()]


def weft_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("weft")]


@pytest.mark.parametrize("options", [{}, {"workers": 3}, {"workers": 2, "max_queue_size": 1}])
def test_every_batch_once_in_order_with_the_hooks_around(options):
    data = Numbers(**options)
    source = sources.source_for(data)
    assert source.size == 6
    for _ in range(2):
        assert numbers(source) == list(range(6))
        assert (data.events[0], data.events[-1]) == ("begin", "end")
        assert sorted(index for index, _ in data.events[1:-1]) == list(range(6))
        used = {name for _, name in data.events[1:-1]}
        if data.workers > 1:
            assert all(name.startswith("weft-data") for name in used)
        data.events.clear()
    source.close()
    assert not weft_threads()


def test_the_queue_s_size_is_kept():
    data = Numbers(workers=2, max_queue_size=2)
    source = sources.source_for(data)
    batches = source.batches()
    next(batches)
    time.sleep(0.05)
    assert len(data.events) <= 1 + 1 + 2  # the hook, the batch taken, those that wait
    source.close()
    assert not weft_threads()


def test_shuffling_is_of_batches():
    def orders():
        weft.random.set_seed(2)
        source = sources.source_for(Numbers(), shuffle=True)
        return [numbers(source) for _ in range(3)]

    first = orders()
    assert first == orders()
    assert all(sorted(order) == list(range(6)) for order in first)
    assert len({tuple(order) for order in first}) > 1


def test_no_end():
    class Endless(Numbers):
        num_batches = None

    source = sources.source_for(Endless(), steps=4, continuing=True, shuffle=True)
    assert source.size == 4
    assert numbers(source) + numbers(source) == list(range(8))
    with pytest.raises(ValueError, match=r"PyDataset Endless has num_batches None.*steps_per_ep"):
        sources.source_for(Endless())


def test_a_length_that_changes_between_epochs():
    class Growing(Numbers):
        def on_epoch_end(self):
            self.number += 1

    source = sources.source_for(Growing(2))
    assert [numbers(source) for _ in range(3)] == [[0, 1], [0, 1, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_that_cannot_be_made(workers):
    data = Numbers(fails_at=4, workers=workers)
    source = sources.source_for(data)
    got = []
    with pytest.raises(KeyError, match="boom") as caught:
        got.extend(source.batches())
    assert len(got) == 4
    (note,) = caught.value.__notes__
    assert "PyDataset Numbers while making the batch of step 4" in note
    assert caught.traceback[-1].name == "__getitem__"
    source.close()
    assert not weft_threads()


def test_what_a_subclass_must_define():
    class Bare(weft.utils.PyDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare must define __len__.*num_batches"):
        sources.source_for(Bare())
    with pytest.raises(NotImplementedError, match="Bare must define __getitem__"):
        Bare()[0]


def test_sequence_is_keras_2_s_name():
    from weft import tf

    assert tf.keras.utils.Sequence is weft.utils.Sequence is weft.utils.PyDataset

    class Old(tf.keras.utils.Sequence):
        def __init__(self):  # as code for Keras 2 does, without super().__init__()
            self.x = np.arange(6, dtype="float32").reshape(3, 2, 1)

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return self.x[index], self.x[index]

    model = weft.Sequential([weft.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(Old(), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert model.predict(Old(), verbose=0).shape == (6, 1)


# -- processes ------------------------------------------------------------------------------

MODULE = """
    import os
    import numpy as np
    from weft.utils import PyDataset

    class InProcesses(PyDataset):
        def __init__(self, **options):
            super().__init__(workers=1, use_multiprocessing=True, **options)
            self.scale = 1

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if self.scale > 2 and index == 1:
                raise KeyError("boom")
            return np.array([[index * self.scale, os.getpid()]])

        def on_epoch_end(self):
            self.scale += 1
"""


def test_processes_have_the_data_set_as_it_is_in_each_epoch(tmp_path, monkeypatch):
    import os

    (tmp_path / "weft_test_in_processes.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    from weft_test_in_processes import InProcesses

    source = sources.source_for(InProcesses())
    try:
        for scale in (1, 2):
            rows = np.concatenate(list(source.batches()))
            assert rows[:, 0].tolist() == [0, scale, 2 * scale]
            assert os.getpid() not in rows[:, 1]
        with pytest.raises(KeyError, match="boom") as caught:
            list(source.batches())
        assert "step 1" in caught.value.__notes__[-1]
    finally:
        source.close()


def test_what_cannot_be_pickled():
    data = Numbers(workers=1, use_multiprocessing=True)
    data.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"PyDataset Numbers cannot be pickled \(.*lock"):
        next(sources.source_for(data).batches())
