"""What a service says about a request that it will not even try: status and error object."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error in the service's words; *refusal* is the one word that goes into the ledger."""

    status: int
    message: str
    code: str | None = None
    type: str = "invalid_request_error"
    param: str | None = None
    refusal: str = "bad_request"

    def error(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }


def not_json() -> Complaint:
    return Complaint(400, "We could not parse the JSON body of your request.")


def missing(name: str) -> Complaint:
    message = f"Missing required parameter: '{name}'."
    return Complaint(400, message, "missing_required_parameter", param=name)


def no_model() -> Complaint:
    return Complaint(400, "you must provide a model parameter")


def wrong_type(name: str, expected: str) -> Complaint:
    message = f"Invalid type for '{name}': expected {expected}."
    return Complaint(400, message, "invalid_type", param=name)


def empty(name: str) -> Complaint:
    message = f"Invalid '{name}': it must not be empty."
    return Complaint(400, message, "empty_input", param=name)


def not_permitted(name: str) -> Complaint:
    return Complaint(400, f"{name}: Extra inputs are not permitted", param=name)


def below_minimum(name: str, value: object) -> Complaint:
    message = (
        f"Invalid '{name}': integer below minimum value. "
        f"Expected a value >= 1, but got {value} instead."
    )
    return Complaint(400, message, "integer_below_min_value", param=name)


def above_maximum(name: str, most: int, value: int) -> Complaint:
    message = (
        f"Invalid '{name}': integer above maximum value. "
        f"Expected a value <= {most}, but got {value} instead."
    )
    return Complaint(400, message, "integer_above_max_value", param=name)


def array_too_long(name: str, most: int, length: int) -> Complaint:
    message = (
        f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead."
    )
    return Complaint(400, message, "array_above_max_length", param=name)


def context_too_long(param: str, most: int, prompt: int, completion: int) -> Complaint:
    message = (
        f"This model's maximum context length is {most} tokens. However, you requested "
        f"{prompt + completion} tokens ({prompt} in the {param}, {completion} in the completion). "
        f"Please reduce the length of the {param} or completion."
    )
    return Complaint(400, message, "context_length_exceeded", param=param)


def no_key() -> Complaint:
    message = (
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )
    return Complaint(401, message, refusal="auth")


def wrong_key(key: str) -> Complaint:
    masked = f"{key[:3]}{'*' * 8}" if len(key) > 8 else "*" * 8
    message = f"Incorrect API key provided: {masked}."
    return Complaint(401, message, "invalid_api_key", refusal="auth")


def no_such_model(model: str) -> Complaint:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Complaint(404, message, "model_not_found", refusal="model_not_found")


def no_such_path(method: str, path: str) -> Complaint:
    return Complaint(404, f"Invalid URL ({method} {path})", refusal="not_found")


def body_too_large(most: int) -> Complaint:
    message = f"The request body is larger than the maximum of {most} bytes."
    return Complaint(413, message, "request_too_large", refusal="too_large")
