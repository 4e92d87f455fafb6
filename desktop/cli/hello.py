"""The first container: from the image inside the VM, through the Docker socket of the host."""

from __future__ import annotations

from desktop.failure import Failure
from desktop.paths import Home

IMAGE = "cove/welcome"


def run(home: Home) -> str:
    """What the welcome container prints; raises Failure when it can't be run."""
    import docker
    import docker.errors
    import requests

    try:
        client = docker.DockerClient(base_url=home.docker_host, timeout=120)
        try:
            output = client.containers.run(IMAGE, remove=True)
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise Failure(
            f"The container of {IMAGE} didn't run.",
            f"{error}",
            "Look at `cove logs engine`, then run `cove restart`.",
        ) from error
    return output.decode(errors="replace").rstrip()
