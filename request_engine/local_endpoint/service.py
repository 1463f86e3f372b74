"""The path of one call: may it come in, what goes wrong, what is billed, and what goes out.

Call -> Limits.admit -> fault? -> ledger -> wait -> reply -> Limits.settle
"""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from . import answers, calls, delivery, hints, limiters
from .answers import Answer
from .calls import Call
from .complaints import Complaint
from .faults import Dice, Fault
from .ledger import Entry, Ledger
from .limiters import Limits, Lockout, Refusal
from .manners import Gateway, Outgoing, Plain
from .settings import Settings
from .stream import Stream, stream

_FAULT_WAIT = 0.2
"""Seconds that the fault `429` asks for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request on its way through."""

    request: web.Request
    digest: bytes
    number: int
    manner: Plain
    arrived: float


class Service:
    """Answers calls as its settings say, and keeps the ledger."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.ledger, settings.ledger_memory)
        self._dice = Dice(settings.fault, settings.seed)
        self._lockout = Lockout(settings.lockout)
        self._limits: dict[str, Limits] = {}
        # Ids stay unique when a run is killed and goes on against a new server.
        self._run = secrets.token_hex(4)

    async def call(
        self, visit: Visit, endpoint: str, body: dict[str, Any], digest: bytes
    ) -> web.StreamResponse:
        call = calls.read(endpoint, body, digest, self.settings)
        if isinstance(call, Complaint):
            return self.complained(visit, call, body.get("model"))
        limits = self._limits_of(call.model)
        reserved = call.charge if self.settings.charge == "max_tokens" else call.prompt_tokens
        if (refusal := limits.admit(visit.arrived, reserved)) is not None:
            self._note(visit, call, refusal=refusal.what)
            return delivery.whole(self._refused(visit, call, limits, refusal))
        used = 0
        try:
            fault = self._fault(visit, call)
            if fault is not None and not fault.billed:
                return await self._unexecuted(visit, call, limits, fault)
            answer = answers.answer(call, self._id(visit), self.settings.answer_tokens)
            used = answer.total_tokens
            self._note(visit, call, answer=answer, fault=fault)
            return await self._executed(visit, call, limits, answer, fault)
        finally:
            limits.settle(_now(), visit.arrived, reserved, used)

    async def _unexecuted(
        self, visit: Visit, call: Call, limits: Limits, fault: Fault
    ) -> web.StreamResponse:
        self._note(visit, call, fault=fault)
        if fault.name == "hang":
            await delivery.never()
        if fault.name == "reset":
            return delivery.reset(visit.request)
        if fault.name == "429":
            limits.lock(_now())
            refusal = Refusal("requests", "requests per min (RPM)", 0, 0, 1, _FAULT_WAIT)
            return delivery.whole(self._refused(visit, call, limits, refusal))
        await asyncio.sleep(self._latency(0))
        return delivery.whole(delivery.refused(fault.name, visit.manner, self._dice.coin()))

    async def _executed(
        self, visit: Visit, call: Call, limits: Limits, answer: Answer, fault: Fault | None
    ) -> web.StreamResponse:
        headers = hints.limit_headers(self.settings.hints, limits, visit.arrived)
        headers["x-request-id"] = f"req_{self._id(visit)}"
        if self._streams(visit, call) and (fault is None or fault.only == "streams"):
            await asyncio.sleep(self._latency(0))
            told = self._stream(call, answer)
            events = told.events(fault.name if fault is not None else None)
            pause = self._writing(answer.completion_tokens) / len(told)
            return await delivery.by_events(visit.request, events, headers, pause)
        if delay := self._latency(answer.completion_tokens):
            await asyncio.sleep(delay)
        if fault is None:
            return delivery.whole(visit.manner.answer(answer, headers))
        outgoing = self._before_damage(visit, call, answer, fault, headers)
        seconds = self.settings.slow_seconds
        return await delivery.damaged(visit.request, fault.name, outgoing, seconds)

    def _before_damage(
        self, visit: Visit, call: Call, answer: Answer, fault: Fault, headers: dict[str, str]
    ) -> Outgoing:
        if fault.name == "nochoices":
            answer = replace(answer, text=answers.hollow(answer.text))
        if not self._streams(visit, call):
            return visit.manner.answer(answer, headers)
        events = b"".join(self._stream(call, answer).events())
        return Outgoing(200, events, delivery.EVENTS, headers)

    def _stream(self, call: Call, answer: Answer) -> Stream:
        return stream(call.endpoint, json.loads(answer.text), _wants_usage(call))

    def _refused(self, visit: Visit, call: Call, limits: Limits, refusal: Refusal) -> Outgoing:
        spelling = self.settings.hints
        headers = hints.limit_headers(spelling, limits, visit.arrived)
        headers |= hints.wait_headers(spelling, refusal.wait, time.time())
        return visit.manner.error(429, hints.refusal_error(spelling, refusal, call.model), headers)

    def complained(self, visit: Visit, complaint: Complaint, model: object) -> web.StreamResponse:
        self._note(visit, model=model, refusal=complaint.refusal)
        return delivery.whole(visit.manner.complaint(complaint))

    def _note(
        self,
        visit: Visit,
        call: Call | None = None,
        *,
        model: object = None,
        answer: Answer | None = None,
        fault: Fault | None = None,
        refusal: str | None = None,
    ) -> None:
        named = call.model if call is not None else model
        self.ledger.add(
            Entry(
                number=visit.number,
                id=answers.id_of(call.endpoint, self._id(visit)) if call and answer else None,
                time=time.time(),
                path=visit.request.path,
                body=visit.digest.hex(),
                model=named if isinstance(named, str) else None,
                prompt_tokens=call.prompt_tokens if call is not None else 0,
                completion_tokens=answer.completion_tokens if answer is not None else 0,
                billed=answer is not None,
                fault=fault.name if fault is not None else None,
                refusal=refusal,
            )
        )

    def _id(self, visit: Visit) -> str:
        return f"canned-{self._run}-{visit.number}"

    def _streams(self, visit: Visit, call: Call) -> bool:
        return call.streamed and visit.manner.streams

    def _fault(self, visit: Visit, call: Call) -> Fault | None:
        fault = self._dice.fault()
        places = {
            "gateway": isinstance(visit.manner, Gateway),
            "streams": self._streams(visit, call),
        }
        return fault if fault is None or fault.only is None or places[fault.only] else None

    def _new_limits(self) -> Limits:
        settings = self.settings
        per_minute = {
            "requests": settings.max_requests_per_minute,
            "tokens": settings.max_tokens_per_minute,
        }
        limiter = settings.chosen_limiter
        rates = limiters.rates(limiter, per_minute, settings.burst)
        most = settings.max_concurrent if limiter != "none" else None
        return Limits(rates, most, settings.refund, self._lockout)

    def _latency(self, tokens: int) -> float:
        """Seconds until an answer of so many tokens is there."""
        settings = self.settings
        jitter = self._dice.spread(settings.latency_jitter) if settings.latency_jitter else 0.0
        return max(0.0, settings.latency + jitter) + self._writing(tokens)

    def _writing(self, tokens: int) -> float:
        speed = self.settings.tokens_per_second
        return tokens / speed if speed is not None else 0.0

    def _limits_of(self, model: str) -> Limits:
        """Each model has its own limits, as services have it; a lockout is for the account."""
        if (limits := self._limits.get(model)) is None:
            limits = self._limits[model] = self._new_limits()
        return limits


def _wants_usage(call: Call) -> bool:
    options = call.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _now() -> float:
    return asyncio.get_running_loop().time()
