"""The engine: it reads, budgets, sends, judges and writes. Files in the order of a request's path:

    job               check what the user gave and join the pieces -> each_line: which they are
    places            where to -> destination, and with which key and limits: preflight,
                      endpoints_file, own_provider, proxies, extra_headers, keys
    requests_file     bytes -> raw_lines -> lines: what one line is -> records.Request; custom_ids
    survey            what is done already? -> announce, journal, results_file, lock, earlier,
                      scan, identity
    intake            a batch ahead: what will each cost? -> counting, token_counts, tokens,
                      image_tokens, encodings
    targets           a target of one or several that has room -> target, budget, leaving
    budget            may it go now? -> gate: allowance (limits given), pace (limits found);
                      window: how many in flight; pause: when nobody is let in;
                      reservation, sizes, charges: what an attempt takes;
                      shares: what was waited for
    send              attempts -> amend, address, provider, judgement, refusals, limit_headers,
                      retry_after, backoff
    transport         bytes there and back -> ready_post, connections, deadlines, suspension,
                      network_errors; event_stream, runaway: replies that come event by event
    run               all of them at once; stopping, signals: when to end early
    disk              rows -> journal -> rows, results_file
    tally             what was done -> spread, progress, summary, durations

beside the path: command_line, logs and errors (what a user gives and sees), splice (JSON without
re-spelling), redaction (no key in any text), children, timers, loops, garbage and descriptors (the
machine), seen (names that were there already), pack_ranks (the tokenizer's data).

    client, blocking  requests in memory, with and without await -> background: their loop;
                      session: what sends; batch: what was asked together -> bodies;
                      asking, handle: one use of it; result, extracts
    sharing           equal requests have one call -> sameness, sampled, repeats;
                      cache, sqlite_cache, answers_file: answers that are kept
    extraction        answers of one shape -> shape, json_forms, strict_schema, turns,
                      answer_json, extracted
    packing           texts as vectors -> unpacking, vectors, embeddings;
                      embed_files, vector_file: of a file
    make_requests     a table -> tables, templates, request_maker -> whole_file
    provider_table    what is known of each service
    local_endpoint    a service to rehearse against
"""

from typing import TYPE_CHECKING

__all__ = ["BadInput", "Failure", "Kind", "Outcome", "Request", "Stopped", "Success", "Usage"]

if TYPE_CHECKING:
    from request_engine.errors import BadInput, Stopped
    from request_engine.records import Failure, Kind, Outcome, Request, Success, Usage
else:

    def __getattr__(name):
        """One of these, imported where it is used: --help needs none, and they take 20 ms."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from request_engine import errors, records

        return getattr(errors if hasattr(errors, name) else records, name)
