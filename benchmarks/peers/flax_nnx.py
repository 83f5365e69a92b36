"""Flax NNX: its model and optimizer objects, the train step under ``nnx.jit``."""

from benchmarks.peers._peer import WARM_UP, arguments, report

PACKAGES = ("flax", "jax", "optax")


def main() -> None:
    name, case, steps, rounds = arguments("flax_nnx", *PACKAGES)

    import jax
    import optax
    from flax import nnx

    from benchmarks.cases import LEARNING_RATE
    from benchmarks.peers._flax import MODELS

    model = MODELS[name](nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer, x, y):
        def loss_fn(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        loss, grads = nnx.value_and_grad(loss_fn)(model)
        optimizer.update(model, grads)
        return loss

    batches = case.batches(*case.data(max(steps, WARM_UP)))

    def loop(n: int) -> None:
        for x, y in batches[:n]:
            loss = train_step(model, optimizer, x, y)
        jax.block_until_ready((loss, nnx.state(model)))

    parameters = sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
    report("flax_nnx", name, steps, rounds, {"loop": loop}, parameters, PACKAGES)


if __name__ == "__main__":
    main()
