"""A plain componentize-py component: answers a greeting, and gives a body back."""

import os

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Post,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


def body_of(request: IncomingRequest) -> bytes:
    body = request.consume()
    stream = body.stream()
    read = bytearray()
    try:
        while True:
            chunk = stream.blocking_read(65536)
            read.extend(chunk)
    except Exception:  # the stream says `closed` as an error
        return bytes(read)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        if isinstance(request.method(), Method_Post):
            answer = body_of(request)
        else:
            answer = f"hello from python, {os.environ.get('GREETED', 'nobody')}".encode()
        response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        stream = body.write()
        for start in range(0, len(answer), 4096):
            stream.blocking_write_and_flush(answer[start : start + 4096])
        stream.__exit__(None, None, None)
        OutgoingBody.finish(body, None)
