"""The engine: it reads, budgets, sends, judges and writes. Files in the order of a request's path:

    job               check what the user gave and join the pieces
    requests_file     lines -> lines: what one line is -> records.Request
    journal           is there an answer already? -> identity, results_file, rows
    tokens            what will it cost? -> encodings, image_tokens
    budget            may it go now? -> allowance
    send              attempts -> address, transport, provider, judgement, retry_after, backoff
    run               all of them at once; stopping: when to end early
    tally             what was done -> progress, summary

and beside the path: preflight and command_line (what a user can get wrong), splice (JSON without
re-spelling), redaction (no key in any text), local_endpoint (a service to rehearse against).
"""

from request_engine.errors import BadInput, Stopped
from request_engine.records import Failure, Kind, Outcome, Request, Success, Usage

__all__ = ["BadInput", "Failure", "Kind", "Outcome", "Request", "Stopped", "Success", "Usage"]
