"""Errors as sentences."""

from __future__ import annotations

import requests
from docker.errors import APIError

from desktop.client.failures import explain
from desktop.failure import Failure


def api_error(status: int, body: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    response.reason = "x"
    return APIError("x", response=response, explanation=body)


def test_port_taken_names_the_port() -> None:
    text = "driver failed programming external connectivity on endpoint a (1): "
    text += "Bind for 0.0.0.0:5432 failed: port is already allocated"
    problem = explain("db did not start", api_error(500, text))
    assert problem.what == "db did not start"
    assert problem.why.startswith("Driver failed programming")
    assert "5432" in problem.hint
    assert problem.status == 500
    assert problem.raw in problem.report


def test_silent_engine() -> None:
    problem = explain("web did not stop", requests.exceptions.ConnectionError("gone"))
    assert problem.why == "The engine does not answer."


def test_json_body_and_own_failures() -> None:
    assert explain("x", RuntimeError('{"message": "no such image"}')).why == "No such image."
    problem = explain("x", Failure("The disk is full.", "0 B are free.", "Free some."))
    assert (problem.what, problem.why) == ("The disk is full", "0 B are free.")
