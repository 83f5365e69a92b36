"""`RemoteMonitor`: the epochs' metrics, sent to a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from typing import Any

from weft.training.callback import Callback

__all__ = ["RemoteMonitor"]

_PATIENCE = 10  # seconds that a server may take


class RemoteMonitor(Callback):
    """Sends a POST request with the epoch's number and metrics after each epoch.

    A server that does not answer is warned about, once in each run; training goes on.

    Args:
        root: the server's address, http or https.
        path: what comes after it.
        field: the name of the form's field that holds the JSON text.
        headers: further HTTP headers.
        send_as_json: send the JSON itself, as "application/json", and no form.

    Raises:
        ValueError: `root` is no http address.

    Example:
        >>> monitor = RemoteMonitor("http://localhost:9000", send_as_json=True)
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        if not str(root).startswith(("http://", "https://")):
            raise ValueError(
                f"RemoteMonitor: root must be an address such as 'http://localhost:9000', got "
                f"{root!r}."
            )
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json
        self._warned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        data = json.dumps({"epoch": epoch, **(logs or {})}, default=_plain)
        body = data if self.send_as_json else urllib.parse.urlencode({self.field: data})
        kind = "json" if self.send_as_json else "x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path,
            data=body.encode(),
            headers={"Content-Type": f"application/{kind}", **(self.headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE):
                pass
        except (urllib.error.URLError, OSError) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"RemoteMonitor: nothing could be sent to {self.root + self.path}: {error}. "
                    "Training goes on; this is not said again in this run.",
                    stacklevel=2,
                )


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
