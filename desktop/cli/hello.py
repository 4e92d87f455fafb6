"""The first container: run the built-in image through the forwarded socket."""

from __future__ import annotations

from desktop.failure import Failure
from desktop.paths import Home

IMAGE = "cove/welcome:latest"


def run(home: Home) -> str:
    """Run the image once and remove the container; answers what it printed.

    Raises Failure when the engine refuses or the container doesn't end with 0.
    """
    import docker
    from docker.errors import ContainerError, DockerException, ImageNotFound

    client = docker.DockerClient(base_url=home.docker_host, timeout=60)
    try:
        output = client.containers.run(IMAGE, remove=True)
        return bytes(output).decode(errors="replace").rstrip()
    except ImageNotFound as error:
        raise Failure(
            "The first container didn't run.",
            f"The built-in image {IMAGE} isn't there: it was removed from this instance.",
            f"Cove itself runs. `docker pull {IMAGE}` brings it back.",
        ) from error
    except ContainerError as error:
        said = error.stderr or b""
        if isinstance(said, bytes):
            said = said.decode(errors="replace").strip()
        raise Failure(
            "The first container failed.",
            f"It ended with exit code {error.exit_status}. {said}".rstrip(),
            "`cove logs engine` shows what the engine did.",
        ) from error
    except (DockerException, OSError) as error:
        raise Failure(
            "The first container didn't run.", str(error), "`cove logs engine` tells more."
        ) from error
    finally:
        client.close()
