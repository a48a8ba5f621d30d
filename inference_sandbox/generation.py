"""Answering a run: the one call of the worker's task. It may be made twice, and cut off anywhere.

Who holds the run's lease answers it. Each token goes into the run's stream as it comes; a worker
that takes over from a dead one gives the tokens already there to the engine, which goes on behind
them. The Run row is written when the answer begins and once when it is over.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Coalesce
from django.utils import timezone

from distribution.errors import StoreError
from inference_sandbox import selectors, stream, tokens, worker
from inference_sandbox.answer import Answer, Record, printable, rounded
from inference_sandbox.closing import close
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.records import PARAMETERS
from inference_sandbox.stream import Kind
from inference_sandbox.watch import Watch, watching
from portal.database import let_go
from portal.refusals import Refusal

if TYPE_CHECKING:
    from inference_sandbox.engine.request import StepOutput, TokenScore
    from inference_sandbox.engine.tokenizer import Tokenizer

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 5  # workers that may die over one run
STATS_SECONDS = 1.0
MOST_OF_ENGINE = 120  # characters, as Run holds them
NO_WEIGHTS = (
    "The store did not give the weights, or not as they were published; the cause is in the worker's log. "
    "Run it again in a minute; if it stays so, tell a manager of this site."
)
# What a run and the engine's SamplingParams call by the same name, and mean in the same way.
LISTS = ("logit_bias", "stop", "stop_token_ids")
ALIKE = tuple(n for n in PARAMETERS if n not in (*LISTS, "prompt_logprobs"))


def execute(run_id: UUID) -> None:
    """Answer a run, or go on where another worker was stopped. Over, or in other hands: nothing."""
    writer = stream.Writer.take(run_id)
    if writer is None:
        return
    try:
        with watching(run_id, writer) as watch:
            if run := _begin(run_id, writer):
                watch.needs_reader = not run.keep
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
        _close(run, writer, Answer.so_far(run_id).end(Run.Status.FAILED, "error", error))
        return None
    try:
        selectors.standing_grant(run_id)
    except Refusal as refusal:
        _close(run, writer, _refused(Answer.so_far(run_id), refusal))
        return None
    if _is_left(run):
        _close(run, writer, Answer.so_far(run_id).end(Run.Status.CANCELLED, "unread"))
        return None
    # Only an unfinished run begins: a cancel that came first has the last word.
    started = Run.objects.filter(pk=run_id, status__in=selectors.UNFINISHED).update(
        status=Run.Status.RUNNING, started_at=Coalesce("started_at", timezone.now())
    )
    return run if started else None


def _is_left(run: Run) -> bool:
    """Whether nobody waits for an answer that is not kept; the first reader is given the grace."""
    waited = (timezone.now() - run.created_at).total_seconds()
    return not run.keep and waited > settings.SANDBOX_READER_GRACE and not stream.is_read(run.pk)


def _answer(run: Run, writer: stream.Writer, watch: Watch) -> Answer:
    """Whatever goes wrong with the model is the run's own end, told to its person."""
    from inference_sandbox.engine.memory import NoRoom
    from inference_sandbox.engine.params import CheckpointError
    from inference_sandbox.engine.request import InvalidRequest
    from inference_sandbox.engine.tokenizer import TokenizerError

    answer = Answer.so_far(run.pk)
    if answer.finish_reason:  # the last token was there; only the end was not told
        return answer
    try:
        return _generate(run, writer, watch, answer)
    except (stream.LeaseLost, stream.StreamDown):
        raise  # not the model's fault: the run stays as it is, and the sweep finds it
    except (CheckpointError, TokenizerError, InvalidRequest, NoRoom) as error:
        return answer.end(Run.Status.FAILED, "error", str(error))
    except StoreError as error:  # which names the store's address and keys, for operators
        log.warning("run %s has no weights: %s", run.pk, error)
        return answer.end(Run.Status.FAILED, "error", NO_WEIGHTS)
    except Exception as error:
        log.exception("run %s failed", run.pk)
        cause = f"The engine failed ({type(error).__name__}). The cause is in the worker's log."
        return answer.end(Run.Status.FAILED, "error", cause)


def _generate(run: Run, writer: stream.Writer, watch: Watch, answer: Answer) -> Answer:
    with worker.engines.use(run.revision) as engine:
        Run.objects.filter(pk=run.pk).update(engine=engine.description[:MOST_OF_ENGINE])
        request_id = f"{run.pk}:{writer.holder}"
        watch.interrupt = lambda: engine.runner.cancel(request_id)
        watch.cancelled = writer.renew() or watch.cancelled
        if watch.must_stop:
            return _stopped(answer, watch)
        if not answer.tokens:
            writer.append(Kind.START)
        answer.begun = True
        _begin_with_forced(run, engine, writer, answer)
        try:
            outputs = _outputs(run, engine, request_id, answer)
            let_go()  # many runs wait for tokens at once; none holds a connection meanwhile
            return _forward(outputs, Pen(run, engine.tokenizer, writer, watch, answer))
        finally:
            engine.runner.cancel(request_id)  # leaving early frees its row


def _begin_with_forced(
    run: Run, engine: worker.LoadedEngine, writer: stream.Writer, answer: Answer
) -> None:
    """Write the tokens that the answer had to begin with, where no worker before has done so."""
    from inference_sandbox.engine.tokenizer import IncrementalDetokenizer

    if not run.forced:
        return
    detokenizer = IncrementalDetokenizer(engine.tokenizer, tokens.of_run(engine.tokenizer, run))
    known = RunTokens.objects.filter(pk=run.pk).values_list("output", flat=True).first() or []
    for place, token in enumerate(run.forced):
        text = printable(detokenizer.push(token))
        if place < len(answer.tokens):
            continue
        record = known[place] if place < len(known) else None
        writer.append(Kind.TOKEN, t=token, x=text, p=True, **({"r": record} if record else {}))
        answer.take(token, text, record)


def _outputs(
    run: Run, engine: worker.LoadedEngine, request_id: str, answer: Answer
) -> "Iterator[StepOutput]":
    from inference_sandbox.engine.request import SamplingParams

    params = SamplingParams(
        **{name: getattr(run, name) for name in ALIKE},
        logit_bias={int(token): bias for token, bias in run.logit_bias.items()},
        stop=tuple(run.stop),
        stop_token_ids=tuple(run.stop_token_ids),
        # Told already: it is told once.
        prompt_logprobs=None if answer.prompt else run.prompt_logprobs,
    )
    prompt = tokens.of_run(engine.tokenizer, run)
    return engine.runner.submit(request_id, prompt, params, answer.tokens, user=str(run.account_id))


def _forward(outputs: "Iterator[StepOutput]", pen: "Pen") -> Answer:
    """From the engine into the stream, token by token, until one side ends it."""
    answer, watch, told_at = pen.answer, pen.watch, time.monotonic()
    for output in outputs:
        reason = str(output.finish_reason or "")
        pen.write(output, reason if reason not in ("cancelled", "error") else "")
        if reason in ("cancelled", "error"):
            return _stopped(answer, watch, output.error)
        if reason:
            return answer.end(Run.Status.FINISHED, reason)
        if watch.must_stop:
            return _stopped(answer, watch)
        if time.monotonic() - told_at >= STATS_SECONDS:
            told_at = time.monotonic()
            pen.writer.append(Kind.STATS, **_stats(answer))
    return _stopped(answer, watch, "The engine stopped without an end.")


@dataclass
class Pen:
    """Writes what the engine gives, into the run's stream and its answer."""

    run: Run
    tokenizer: "Tokenizer"
    writer: stream.Writer
    watch: Watch
    answer: Answer

    def write(self, output: "StepOutput", reason: str) -> None:
        if output.prompt is not None:
            records = [self._record(score) for score in output.prompt]
            self._append(Kind.PROMPT, s=records)
            self.answer.prompt = records
        if output.token is None and not output.text and not reason:
            return
        text = printable(output.text)
        record = self._record(output.score) if output.score else None
        more = {"f": reason} if reason else {}
        self._append(
            Kind.TOKEN, t=output.token, x=text, **more, **({"r": record} if record else {})
        )
        self.answer.take(output.token, text, record)
        if output.token is not None:
            self.answer.clock()
            self._note_first_token()

    def _append(self, kind: Kind, **data: Any) -> None:
        if self.writer.append(kind, **data):
            self.watch.cancelled = True

    def _record(self, score: "TokenScore") -> Record:
        text = self.tokenizer.token_text
        top = [[token, printable(text(token)), rounded(lp)] for token, lp in score.top]
        likelihood = (rounded(score.logprob), rounded(score.entropy))
        return [score.token, printable(text(score.token)), *likelihood, top]

    def _note_first_token(self) -> None:
        if self.answer.made_here == 1 and self.run.first_token_seconds is None:
            self.run.first_token_seconds = (timezone.now() - self.run.created_at).total_seconds()


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
    if watch.unread:
        return answer.end(Run.Status.CANCELLED, "unread")
    return answer.end(Run.Status.FAILED, "error", f"The engine failed: {error}")


def _refused(answer: Answer, refusal: Refusal) -> Answer:
    return answer.end(Run.Status.FAILED, "refused", f"{refusal.detail} {refusal.way_out}")


def _close(run: Run, writer: stream.Writer, answer: Answer) -> None:
    """Write the row, once, then tell the readers: who hears of the end finds it in the database."""
    writer.renew()  # a worker that was taken for dead must not write the row either
    if close(run, answer):
        end = {"status": answer.status, "finish_reason": answer.finish_reason}
        writer.append(Kind.END, **end, error=printable(answer.error))
