"""A shell program that runs beside the processes of a server in a container."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from pgdst.errors import ServerUnreachableError
from pgdst.server.address import Server
from pgdst.server.docker import streams
from pgdst.server.docker.daemon import connect
from pgdst.server.docker.endpoint import choose


@contextmanager
def conversation(server: Server, program: str) -> Iterator[Callable[[bytes], bytes]]:
    """Run a program of sh in the server's container; yield what sends it a line and returns what it answers.

    It runs as Postgres's user, who may signal Postgres whatever capabilities the container lacks.

    Raises: ServerUnreachableError where there is no container; what is yielded raises OSError once it has gone.
    """
    with closing(connect(choose())) as client:
        found = client.api.containers(filters={"label": f"pgdst.run={server.run_id}"})
        if not found:
            raise ServerUnreachableError(
                f"There is no container of the run {server.run_id}. It was removed; start another."
            )
        made = client.api.exec_create(found[0]["Id"], ["sh", "-c", program], stdin=True, user="postgres")
        with streams.opened(client.api.exec_start(made["Id"], socket=True)) as stream:
            stream.settimeout(None)

            def ask(request: bytes) -> bytes:
                stream.sendall(request)
                received = answer = b""
                while not answer.endswith(b"\n") and (data := stream.recv(4096)):
                    received += data
                    answer, _ = streams.frames(received)
                return answer

            yield ask
