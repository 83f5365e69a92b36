"""Callbacks: what looks on, and takes part, while a model is trained."""

from weft.callbacks.backup import BackupAndRestore
from weft.callbacks.csv_logger import CSVLogger
from weft.callbacks.early_stopping import EarlyStopping
from weft.callbacks.functions import LambdaCallback
from weft.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from weft.callbacks.model_checkpoint import ModelCheckpoint
from weft.callbacks.nan import TerminateOnNaN
from weft.callbacks.orbax import OrbaxCheckpoint
from weft.callbacks.remote_monitor import RemoteMonitor
from weft.callbacks.swap_ema import SwapEMAWeights
from weft.callbacks.tensorboard import TensorBoard
from weft.training.callback import Callback
from weft.training.callback_list import CallbackList
from weft.training.history import History
from weft.training.logs import Logs
from weft.training.progbar import ProgbarLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
