"""The engine: it reads, budgets, sends, judges and writes. Files in the order of a request's path:

    job               check what the user gave and join the pieces
    requests_file     bytes -> raw_lines -> lines: what one line is -> records.Request
    survey            what is done already? -> journal, results_file, lock, earlier, scan, identity
    intake            a batch ahead: what will each cost? -> counting, tokens, encodings
    budget            may it go now? -> gate: allowance (limits given), pace (limits found);
                      window: how many in flight; pause: when nobody is let in;
                      sizes, charges: what an attempt takes; shares: what was waited for
    send              attempts -> address, provider, judgement, refusals, limit_headers,
                      retry_after, backoff
    transport         bytes there and back -> ready_post, connections, deadlines, suspension,
                      network_errors; event_stream, runaway: replies that come event by event
    run               all of them at once; stopping: when to end early
    disk              rows -> journal -> rows, results_file
    tally             what was done -> progress, summary

and beside the path: preflight and command_line (what a user can get wrong), splice (JSON without
re-spelling), redaction (no key in any text), local_endpoint (a service to rehearse against).
"""

from request_engine.errors import BadInput, Stopped
from request_engine.records import Failure, Kind, Outcome, Request, Success, Usage

__all__ = ["BadInput", "Failure", "Kind", "Outcome", "Request", "Stopped", "Success", "Usage"]
