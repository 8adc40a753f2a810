"""A shell program that runs beside the processes of a server in a container."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from docker.utils.socket import SocketError, next_frame_header, read_exactly

from pgdst.errors import ServerUnreachableError
from pgdst.server.address import Server
from pgdst.server.docker import endpoint, streams


@contextmanager
def conversation(server: Server, program: str) -> Iterator[Callable[[bytes], bytes]]:
    """Run a program of sh in the server's container; yield what sends it a line and returns what it answers.

    It runs as Postgres's user, who may signal Postgres whatever capabilities the container lacks.

    Raises: ServerUnreachableError where there is no container; what is yielded raises OSError once it has gone.
    """
    with closing(endpoint.connect(endpoint.choose())) as client:
        found = client.api.containers(filters={"label": f"pgdst.run={server.run_id}"})
        if not found:
            raise ServerUnreachableError(
                f"There is no container of the run {server.run_id}. It was removed; start another."
            )
        made = client.api.exec_create(found[0]["Id"], ["sh", "-c", program], stdin=True, user="postgres")
        with streams.opened(client.api.exec_start(made["Id"], socket=True)) as stream:

            def ask(request: bytes) -> bytes:
                stream.sendall(request)
                try:
                    _kind, size = next_frame_header(stream)
                    answer: bytes = read_exactly(stream, size) if size > 0 else b""
                except SocketError as error:
                    raise OSError(str(error)) from error
                return answer

            yield ask
