"""Answering a run: the one call of the worker's task. It may be made twice, and cut off anywhere.

Who holds the run's lease answers it. Each token goes into the run's stream as it comes; a worker
that takes over from a dead one gives the tokens already there to the engine, which goes on behind
them. The Run row is written when the answer begins and once when it is over.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from distribution.errors import StoreError
from inference_sandbox import selectors, stream, tokens, worker
from inference_sandbox.models import Run
from inference_sandbox.stream import Kind
from inference_sandbox.watch import Watch, watching
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Refusal

if TYPE_CHECKING:
    from inference_sandbox.engine.request import StepOutput

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 5  # workers that may die over one run
STATS_SECONDS = 1.0


@dataclass
class Answer:
    """What a run has come to so far, over all workers that were at it."""

    texts: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    first_at: float | None = None  # monotonic seconds, of this worker's first token
    rate: float | None = None  # tokens a second, since this worker's first token
    made_here: int = 0
    status: Run.Status = Run.Status.FINISHED
    finish_reason: str = ""
    error: str = ""

    def take(self, token: int | None, text: str) -> None:
        self.texts.append(text)
        if token is not None:
            self.tokens.append(token)

    def clock(self) -> None:
        """A token was made here and now."""
        now = time.monotonic()
        self.made_here += 1
        if self.first_at is None:
            self.first_at = now
        elif now > self.first_at:
            self.rate = (self.made_here - 1) / (now - self.first_at)

    def end(self, status: Run.Status, finish_reason: str, error: str = "") -> "Answer":
        self.status, self.finish_reason, self.error = status, finish_reason, error
        return self


def execute(run_id: UUID) -> None:
    """Answer a run, or go on where another worker was stopped. Over, or in other hands: nothing."""
    writer = stream.Writer.take(run_id)
    if writer is None:
        return
    try:
        with watching(run_id, writer) as watch:
            if run := _begin(run_id, writer):
                _close(run, writer, _answer(run, writer, watch))
    except stream.LeaseLost:
        log.warning("run %s was taken over by another worker", run_id)
    finally:
        writer.release()


def _begin(run_id: UUID, writer: stream.Writer) -> Run | None:
    """The run, now running; None if there is nothing to do for it any more."""
    run = Run.objects.select_related("release", "revision__release").filter(pk=run_id).first()
    if run is None or run.is_over:
        return None
    if writer.count_attempt() > MOST_ATTEMPTS:
        error = f"The worker stopped {MOST_ATTEMPTS} times while it answered this prompt."
        _close(run, writer, _so_far(run_id).end(Run.Status.FAILED, "error", error))
        return None
    try:
        selectors.standing_grant(run_id)
    except Refusal as refusal:
        _close(run, writer, _refused(_so_far(run_id), refusal))
        return None
    # Only an unfinished run begins: a cancel that came first has the last word.
    started = Run.objects.filter(pk=run_id, status__in=selectors.UNFINISHED).update(
        status=Run.Status.RUNNING, started_at=Coalesce("started_at", timezone.now())
    )
    return run if started else None


def _answer(run: Run, writer: stream.Writer, watch: Watch) -> Answer:
    """Whatever goes wrong with the model is the run's own end, told to its person."""
    from inference_sandbox.engine.params import CheckpointError
    from inference_sandbox.engine.request import PromptTooLong
    from inference_sandbox.engine.tokenizer import TokenizerError

    answer = _so_far(run.pk)
    if answer.finish_reason:  # the last token was there; only the end was not told
        return answer
    try:
        return _generate(run, writer, watch, answer)
    except (stream.LeaseLost, stream.StreamDown):
        raise  # not the model's fault: the run stays as it is, and the sweep finds it
    except (CheckpointError, TokenizerError, StoreError, PromptTooLong) as error:
        return answer.end(Run.Status.FAILED, "error", str(error))
    except Exception as error:
        log.exception("run %s failed", run.pk)
        cause = f"The engine failed ({type(error).__name__}). The cause is in the worker's log."
        return answer.end(Run.Status.FAILED, "error", cause)


def _so_far(run_id: UUID) -> Answer:
    answer = Answer()
    for entry in stream.tokens_so_far(run_id):
        answer.take(entry.data["t"], entry.data["x"])
        answer.finish_reason = entry.data.get("f", "")
    return answer


def _generate(run: Run, writer: stream.Writer, watch: Watch, answer: Answer) -> Answer:
    with worker.engines.use(run.revision) as engine:
        Run.objects.filter(pk=run.pk).update(engine=engine.description)
        if not answer.tokens:
            writer.append(Kind.START)
        request_id = f"{run.pk}:{writer.holder}"
        watch.interrupt = lambda: engine.runner.cancel(request_id)
        watch.cancelled = writer.renew() or watch.cancelled
        if watch.must_stop:
            return _stopped(answer, watch)
        try:
            outputs = _outputs(run, engine, request_id, answer)
            return _forward(outputs, writer, watch, answer)
        finally:
            engine.runner.cancel(request_id)  # leaving early frees its row


def _outputs(
    run: Run, engine: worker.LoadedEngine, request_id: str, answer: Answer
) -> "Iterator[StepOutput]":
    from inference_sandbox.engine.request import SamplingParams

    params = SamplingParams(
        temperature=run.temperature, top_p=run.top_p, max_tokens=run.max_tokens, seed=run.seed
    )
    prompt = tokens.encode(engine.tokenizer, run.mode, run.prompt)
    return engine.runner.submit(request_id, prompt, params, answer.tokens)


def _forward(
    outputs: "Iterator[StepOutput]", writer: stream.Writer, watch: Watch, answer: Answer
) -> Answer:
    """From the engine into the stream, token by token, until one side ends it."""
    told_at = time.monotonic()
    for output in outputs:
        reason = str(output.finish_reason or "")
        if reason in ("cancelled", "error"):
            if output.text:
                writer.append(Kind.TOKEN, t=None, x=_printable(output.text))
                answer.take(None, _printable(output.text))
            return _stopped(answer, watch, output.error)
        _write(output, reason, writer, watch, answer)
        if reason:
            return answer.end(Run.Status.FINISHED, reason)
        if watch.must_stop:
            return _stopped(answer, watch)
        if time.monotonic() - told_at >= STATS_SECONDS:
            told_at = time.monotonic()
            writer.append(Kind.STATS, **_stats(answer))
    return _stopped(answer, watch, "The engine stopped without an end.")


def _write(
    output: "StepOutput", reason: str, writer: stream.Writer, watch: Watch, answer: Answer
) -> None:
    text = _printable(output.text)
    last = {"f": reason} if reason else {}
    if writer.append(Kind.TOKEN, t=output.token, x=text, **last):
        watch.cancelled = True
    answer.take(output.token, text)
    answer.clock()


def _printable(text: str) -> str:
    """A model may say NUL, which neither a page nor PostgreSQL can hold."""
    return text.replace("\x00", "\ufffd")


def _stats(answer: Answer) -> dict[str, float | int | None]:
    return {"output_tokens": len(answer.tokens), "tokens_per_second": answer.rate}


def _stopped(answer: Answer, watch: Watch, error: str = "") -> Answer:
    """Why the answer ends before its time."""
    if watch.lost:
        raise stream.LeaseLost(str(watch.run_id))
    if watch.refusal:
        return _refused(answer, watch.refusal)
    if watch.cancelled:
        return answer.end(Run.Status.CANCELLED, "cancelled")
    return answer.end(Run.Status.FAILED, "error", f"The engine failed: {error}")


def _refused(answer: Answer, refusal: Refusal) -> Answer:
    return answer.end(Run.Status.FAILED, "refused", f"{refusal.detail} {refusal.way_out}")


def _close(run: Run, writer: stream.Writer, answer: Answer) -> None:
    """Write the row, once, then tell the readers: who hears of the end finds it in the database."""
    writer.renew()  # a worker that was taken for dead must not write the row either
    with transaction.atomic():
        closed = Run.objects.filter(pk=run.pk, status__in=selectors.UNFINISHED).update(
            status=answer.status,
            output="".join(answer.texts),
            finish_reason=answer.finish_reason,
            error=answer.error,
            output_tokens=len(answer.tokens),
            tokens_per_second=answer.rate,
            finished_at=timezone.now(),
        )
        if closed:
            record(
                Verb.RUN_FINISHED, run, actor=None, status=answer.status,
                finish_reason=answer.finish_reason, output_tokens=len(answer.tokens),
            )  # fmt: skip
    if closed:
        end = {"status": answer.status, "finish_reason": answer.finish_reason}
        writer.append(Kind.END, **end, error=answer.error)
