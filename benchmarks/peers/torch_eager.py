"""PyTorch, eager: the usual loop."""

from benchmarks.peers._peer import WARM_UP, arguments, report

PACKAGES = ("torch",)


def main() -> None:
    name, case, steps, rounds = arguments("torch_eager", *PACKAGES)

    from benchmarks.peers._torch import loop_way

    loop, parameters = loop_way(name, case, max(steps, WARM_UP), compile_model=False)
    report("torch_eager", name, steps, rounds, {"loop": loop}, parameters, PACKAGES)


if __name__ == "__main__":
    main()
