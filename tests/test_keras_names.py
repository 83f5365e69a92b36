"""Every public name of Keras's modules of parts is here, with Keras's signature."""

import importlib
import inspect

import keras
import pytest

import weft
from weft import tf

# Keras's module -> weft's. The others have the same name.
OURS = {"mixed_precision": "precision", "dtype_policies": "precision"}
MODULES = [
    "activations", "callbacks", "constraints", "initializers", "losses", "metrics",
    "mixed_precision", "optimizers", "optimizers.legacy", "optimizers.schedules", "regularizers",
]  # fmt: skip
NAMES = [
    (module, name)
    for module in MODULES
    for name in dir(importlib.import_module(f"keras.{module}"))
    if not name.startswith("_")
]
# Keras's own say nothing but (*args, **kwargs) here.
OPEN = {"optimizers.legacy"}
# Keras 2 has (name, dtype) here, and Keras 3 (dtype, name): weft takes a name first.
REORDERED = {("metrics", "Metric")}


def homes(module):
    """weft's module, and the same in the TensorFlow spelling."""
    ours = importlib.import_module(f"weft.{OURS.get(module, module)}")
    return [ours, importlib.import_module(f"weft.tf.keras.{module}")]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda v: v)
def test_is_there_with_its_signature(module, name):
    theirs = getattr(importlib.import_module(f"keras.{module}"), name)
    for home in homes(module):
        assert hasattr(home, name), f"{home.__name__} has no {name}"
        assert name in home.__all__
        ours = getattr(home, name)
        if inspect.ismodule(theirs):
            assert inspect.ismodule(ours)
            continue
        assert isinstance(ours, type) == isinstance(theirs, type)
        if module not in OPEN:
            check_parameters(ours, theirs, (module, name) not in REORDERED)


def parameters(thing):
    """Of a callable, those of the classes above it included where it hands them on."""
    found = {}
    inits = [vars(c)["__init__"] for c in getattr(thing, "__mro__", ()) if "__init__" in vars(c)]
    for function in inits or [thing]:
        given = list(inspect.signature(function).parameters.values())[bool(inits) :]
        found = {**{p.name: p for p in given}, **found}
        if not any(p.kind is p.VAR_KEYWORD for p in given):
            break
    return found


def check_parameters(ours, theirs, ordered):
    """Keras's parameters are ours, with its defaults; what there is beside them is optional."""
    mine = parameters(ours)
    wanted = [
        p for p in inspect.signature(theirs).parameters.values() if p.kind is not p.VAR_KEYWORD
    ]
    for p in wanted:
        assert p.name in mine, p.name
        default = mine[p.name].default
        assert default == p.default and type(default) is type(p.default), p.name
    names = {p.name for p in wanted}
    for p in inspect.signature(ours).parameters.values():
        open_ended = p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        assert p.name in names or p.default is not p.empty or open_ended, p.name
    if ordered:
        own = list(inspect.signature(ours).parameters.values())
        positional = [p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
        together = list(zip(positional, wanted, strict=False))
        assert [n for n, _ in together] == [p.name for _, p in together]


@pytest.mark.parametrize("module", MODULES)
def test_lists_are_whole(module):
    for home in homes(module):
        assert len(set(home.__all__)) == len(home.__all__)
        assert [n for n in home.__all__ if not hasattr(home, n)] == []
        assert set(home.__all__) <= set(dir(home))


# What `get` of Keras 2 takes, as measured with tf_keras 2.21.
KERAS_2 = {
    "losses": """
        mse MSE mae MAE mape MAPE msle MSLE kld KLD bce BCE cosine_similarity logcosh LogCosh huber
        huber_loss hinge squared_hinge categorical_hinge poisson kl_divergence
        kullback_leibler_divergence binary_crossentropy BinaryCrossentropy log_cosh
        binary_focal_crossentropy categorical_focal_crossentropy sparse_categorical_crossentropy
        mean_squared_error MeanSquaredError mean_absolute_error categorical_crossentropy
        mean_absolute_percentage_error mean_squared_logarithmic_error""",
    "metrics": """
        mse MSE mae MAE mape MAPE msle MSLE kld KLD cosine_similarity cosine_proximity logcosh
        hinge squared_hinge categorical_hinge poisson kl_divergence kullback_leibler_divergence
        binary_crossentropy BinaryCrossentropy AUC Precision Recall Mean Sum MeanIoU
        top_k_categorical_accuracy sparse_top_k_categorical_accuracy categorical_accuracy
        binary_accuracy sparse_categorical_accuracy log_cosh RootMeanSquaredError""",
    "optimizers": """
        adam Adam sgd SGD rmsprop RMSprop adagrad adadelta adamax nadam ftrl adamw AdamW adafactor
        lion""",
    "initializers": """
        normal uniform one zero ones zeros random_normal glorot_uniform GlorotUniform lecun_normal
        orthogonal identity Identity he_normal constant variance_scaling truncated_normal""",
    "regularizers": "l1 l2 l1_l2 L1 L2 L1L2 orthogonal_regularizer OrthogonalRegularizer",
    "constraints": """
        max_norm maxnorm MaxNorm nonneg non_neg NonNeg unitnorm unit_norm UnitNorm min_max_norm
        MinMaxNorm""",
    "activations": """
        swish silu gelu leaky_relu relu6 softmax log_softmax exponential mish linear hard_sigmoid
        elu selu relu sigmoid softplus softsign tanh""",
}


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, names in KERAS_2.items() for n in names.split()]
)
def test_names_of_keras_2_are_found(module, name):
    arguments = {"MeanIoU": {"num_classes": 2}}.get(name)
    identifier = {"class_name": name, "config": arguments} if arguments else name
    assert callable(getattr(weft, module).get(identifier)) or module == "optimizers"


# Names of Keras 2's modules beside those of Keras 3.
KERAS_2_MODULES = {
    "losses": """
        KLD MAE MAPE MSE MSLE Reduction kld kullback_leibler_divergence log_cosh logcosh mae mape
        mse msle""",
    "metrics": """
        KLD MAE MAPE MSE MSLE kld kullback_leibler_divergence log_cosh logcosh mae mape mse
        msle categorical_accuracy top_k_categorical_accuracy""",
    "optimizers.legacy": "Adadelta Adagrad Adam Adamax Ftrl Nadam Optimizer RMSprop SGD",
    "mixed_precision": "LossScaleOptimizer Policy global_policy set_global_policy",
}


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, names in KERAS_2_MODULES.items() for n in names.split()]
)
def test_names_in_modules_of_keras_2(module, name):
    home = homes(module)[-1]
    assert hasattr(home, name) and name in home.__all__


def test_the_tensorflow_names_of_these_modules():
    for name in ("initializers", "losses", "metrics", "optimizers"):
        assert getattr(tf, name) is getattr(tf.keras, name)
    assert keras.__version__ >= "3"
