"""What a file of routes imports: requests, answers, routes."""

from engine.api.frames import MEDIA_TYPE, RAW_MEDIA_TYPE, frame, frame_lines
from engine.api.query import Query
from engine.api.request import Hijacked, Request
from engine.api.response import (
    Response,
    StreamResponse,
    created,
    encode,
    encoded_response,
    json_response,
    no_content,
    text_response,
)
from engine.api.router import Answer, Handler, Route

__all__ = [
    "MEDIA_TYPE",
    "RAW_MEDIA_TYPE",
    "Answer",
    "Handler",
    "Hijacked",
    "Query",
    "Request",
    "Response",
    "Route",
    "StreamResponse",
    "created",
    "encode",
    "encoded_response",
    "frame",
    "frame_lines",
    "json_response",
    "no_content",
    "text_response",
]
