"""A real Jupyter server for the browser tests, cut off from the user's own.

Settings, workspaces, kernels and runtime files all live in one temporary folder, so
that nothing a person has configured changes a test, and no test changes theirs.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START_SECONDS = 120
STOP_SECONDS = 15
CHECKOUT = Path(__file__).parents[2]
OVERLAYS = CHECKOUT / ".venv/hosts"
KERNEL_OVERLAYS = CHECKOUT / ".venv/kernels"
THIS_PYTHON = "patchwidget-tests"


@dataclass(frozen=True)
class Host:
    """An application that shows notebooks.

    Attributes:
        name: as the README's table has it.
        module: what `python -m` starts.
        address: where it shows a notebook.
        options: of the command line, for this application only.
        packages: what lies before the environment, for the server and the kernels.
    """

    name: str
    module: str
    address: str
    options: tuple[str, ...] = ()
    packages: str | None = None

    @property
    def overlay(self) -> Path | None:
        """The folder of its own packages."""
        return OVERLAYS / self.packages if self.packages else None


# Its other manager of extensions asks the network.
_LAB = ("jupyterlab", "lab/tree", ("--LabApp.extension_manager=readonly",))
JUPYTERLAB = Host("JupyterLab 4.6, ipywidgets 8.1", *_LAB)
LAB_IPYWIDGETS_7 = Host("JupyterLab 4.6, ipywidgets 7.7", *_LAB, "ipywidgets7")
NOTEBOOK_7 = Host("Notebook 7.6", "notebook", "notebooks", packages="notebook7")

SETTINGS = {
    # Cells out of sight are otherwise taken out of the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
    # No look-ups on the network, and no pop-ups over what is tested.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@dataclass
class Server:
    """A running server: where it listens, and the folder that it serves."""

    url: str
    root: Path
    host: Host = JUPYTERLAB
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def request(self, path: str, method: str = "GET") -> bytes:
        """Call the server's REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        call = urllib.request.Request(  # noqa: S310  # always our own http address
            f"{self.url}{path}", method=method, headers=headers
        )
        with urllib.request.urlopen(call, timeout=10) as answer:  # noqa: S310
            return answer.read()

    def address_of(self, name: str) -> str:
        """Where a notebook is shown."""
        # `reset` forgets the workspace, in which an earlier notebook may still lie.
        return f"{self.url}/{self.host.address}/{name}?reset&token={self.token}"

    def shut_kernels_down(self) -> None:
        """End every session, so that the next test starts with free memory."""
        for session in json.loads(self.request("/api/sessions")):
            self.request(f"/api/sessions/{session['id']}", "DELETE")


def write_kernel(folder: Path, name: str, overlays: Sequence[Path] = ()) -> None:
    """Install a kernelspec for this Python; packages in the overlays come first.

    What is tested is this checkout, whichever is installed.
    """
    paths = [*overlays, CHECKOUT]
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join(map(str, paths))},
    }
    target = folder / "data" / "kernels" / name
    target.mkdir(parents=True)
    (target / "kernel.json").write_text(json.dumps(spec), "utf-8")


def write_kernels(folder: Path, host: Host) -> None:
    """Install this Python as a kernel, and with each older ipykernel there is."""
    own = [host.overlay] if host.overlay else []
    write_kernel(folder, THIS_PYTHON, own)
    for overlay in sorted(KERNEL_OVERLAYS.glob("*.*.*")):
        write_kernel(folder, f"ipykernel-{overlay.name}", [overlay, *own])


def _write_settings(folder: Path) -> None:
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(settings), "utf-8")


def _lab_files(folder: Path, overlay: Path) -> Path:
    """JupyterLab's own files, with those of an application that is built on it."""
    folder.mkdir()
    own, others = (at / "share/jupyter/lab" for at in (Path(sys.prefix), overlay))
    for part in own.iterdir():
        if part.name != "schemas":
            (folder / part.name).symlink_to(part)
    (folder / "schemas").mkdir()
    for part in (*own.glob("schemas/*"), *others.glob("schemas/*")):
        (folder / "schemas" / part.name).symlink_to(part)
    return folder


def _environment(folder: Path, overlay: Path | None) -> dict[str, str]:
    # A kernel has the threads that a user's has, whatever the tests themselves do with.
    inherited = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    data = [folder / "data"]
    if overlay:
        data.append(overlay / "share/jupyter")
        inherited["PYTHONPATH"] = str(overlay)
        inherited["JUPYTERLAB_DIR"] = str(_lab_files(folder / "lab", overlay))
    return {
        **inherited,
        "JUPYTER_PATH": os.pathsep.join(map(str, data)),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "HF_HUB_OFFLINE": "1",
    }


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(server: Server, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", server.host.module, "--no-browser", "--allow-root"),
        "--expose-app-in-browser",  # window.jupyterapp, which the driver talks to
        *server.host.options,
        f"--ServerApp.root_dir={server.root}",
        f"--IdentityProvider.token={server.token}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
    ]


@contextmanager
def running_server(folder: Path, host: Host = JUPYTERLAB) -> Iterator[Server]:
    """Start a server, with a kernel of every version that is installed; stop it after."""
    if host.overlay and not host.overlay.exists():
        raise RuntimeError(f"{host.name} is missing: `make test-hosts` installs it")
    write_kernels(folder, host)
    _write_settings(folder)
    root = folder / "root"
    root.mkdir()
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}", root, host)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            _command(server, port),
            env=_environment(folder, host.overlay),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(server, process, folder / "server.log")
            yield server
        finally:
            stop(process)


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.request("/api/status")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{server.host.name} did not come up:\n{log.read_text('utf-8')}")


def stop(process: subprocess.Popen) -> None:
    """End a server, which ends its kernels itself."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
