"""PyTorch, the usual loop with the model under ``torch.compile``."""

from benchmarks.peers._peer import WARM_UP, arguments, report

PACKAGES = ("torch",)


def main() -> None:
    name, case, steps, rounds = arguments("torch_compile", *PACKAGES)

    from benchmarks.peers._torch import loop_way

    loop, parameters = loop_way(name, case, max(steps, WARM_UP), compile_model=True)
    report("torch_compile", name, steps, rounds, {"loop": loop}, parameters, PACKAGES)


if __name__ == "__main__":
    main()
