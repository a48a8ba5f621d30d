"""Events are sealed in batches; what is changed below the triggers is found, and named."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal.accounts.models import Account
from portal.audit import keys, merkle, sealing, services, verifying
from portal.audit.models import Event, Seal, SealedEvent, Verb
from portal.refusals import Refusal
from tests.portal.audit.tampering import below_the_triggers

SCRIPT = Path(__file__).resolve().parents[3] / "docs" / "auditors" / "verify_event.py"


def audit(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def write(account: Account, count: int) -> list[int]:
    return [
        services.record(Verb.AFFILIATION_CHANGED, account, actor=account, number=number).pk
        for number in range(count)
    ]


@pytest.fixture
def ids(alice: Account) -> list[int]:
    """Seven events in two seals: five, then two."""
    first = write(alice, 5)
    sealing.seal_waiting()
    second = write(alice, 2)
    sealing.seal_waiting()
    return first + second


def first_bad() -> str:
    with pytest.raises(CommandError) as raised:
        audit("verify")
    assert raised.value.returncode == 1
    return str(raised.value)


def late_event(account: Account, pk: int, age: timedelta) -> None:
    """As if its transaction had been open since then: a low id that is seen only now."""
    at = timezone.now() - age
    event = Event(
        id=pk,
        verb=Verb.TOKEN_CREATED,
        actor=account,
        subject_type="accounts.account",
        subject_id="1",
        at=at,
    )
    field = Event._meta.get_field("at")
    field.auto_now_add = False
    try:
        event.save(force_insert=True)
    finally:
        field.auto_now_add = True


# ---- Sealing -------------------------------------------------------------------------------------
def test_every_event_is_in_one_seal_and_the_seals_follow_each_other(ids: list[int]) -> None:
    first, second = Seal.objects.order_by("number")
    assert (first.number, first.count, second.number, second.count) == (1, 5, 2, 2)
    assert second.previous == first.hash
    assert list(SealedEvent.objects.values_list("event_id", flat=True)) == ids
    assert "whole: 7 events in 2 seals, 0 wait" in audit("verify")


def test_with_nothing_to_seal_no_seal_is_made(ids: list[int]) -> None:
    assert sealing.seal_waiting(late=True) == []
    assert Seal.objects.count() == 2


def test_an_empty_log_is_whole(db: None) -> None:
    assert sealing.seal_waiting() == []
    assert "whole: 0 events" in audit("verify")


def test_an_event_waits_until_it_has_settled(alice: Account) -> None:
    write(alice, 1)
    assert sealing.seal_waiting(settle=timedelta(minutes=1)) == []
    assert "1 wait" in audit("verify")
    assert "sealed 1 events in 1 seals" in audit("seal")


def test_many_events_become_many_seals(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 3)
    write(alice, 7)
    assert [seal.count for seal in sealing.seal_waiting()] == [3, 3, 1]
    audit("verify")


def test_an_event_that_is_seen_after_a_later_one_is_sealed_all_the_same(alice: Account) -> None:
    first, _ = write(alice, 2)
    below_the_triggers("DELETE FROM audit_event WHERE id = %s", first)
    sealing.seal_waiting()
    late_event(alice, first, timedelta(minutes=5))
    assert sealing.seal_waiting() == []  # the quick look sees higher ids alone
    (seal,) = sealing.seal_waiting(late=True)
    assert (seal.first_event, seal.last_event) == (first, first)
    audit("verify")


def test_an_event_that_claims_the_past_is_not_sealed_but_named(
    ids: list[int], alice: Account
) -> None:
    late_event(alice, ids[-1] + 10, timedelta(days=30))
    assert sealing.seal_waiting(late=True) == []
    assert first_bad().startswith(f"event {ids[-1] + 10} was inserted afterwards")
    audit("seal", "--all")
    audit("verify")


def test_a_backlog_is_sealed_however_old_it_is(
    alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 2)
    for number, days in enumerate((9, 8, 7, 6, 5), start=1):
        late_event(alice, number + 1000, timedelta(days=days))
    assert sum(seal.count for seal in sealing.seal_waiting()) == 5
    assert "0 wait" in audit("verify")


def test_a_clock_that_once_ran_ahead_does_not_make_later_events_late(
    alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_event(alice, 1001, -timedelta(days=300))
    sealing.seal_waiting(settle=-timedelta(days=365))
    write_after = services.record(Verb.TOKEN_CREATED, alice, actor=alice)
    sealing.seal_waiting(late=True)
    assert SealedEvent.objects.filter(event=write_after).exists()


@pytest.mark.parametrize("table", ["audit_seal", "audit_sealedevent"])
def test_the_database_refuses_to_change_or_delete_a_seal(ids: list[int], table: str) -> None:
    column = {"audit_seal": "root", "audit_sealedevent": "position"}[table]
    statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    if connection.vendor == "postgresql":
        statements.append(f"TRUNCATE {table}")
    else:
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(statement)


def test_a_seal_object_refuses_to_be_saved_again_or_deleted(ids: list[int]) -> None:
    for kept in (Seal.objects.get(pk=1), SealedEvent.objects.get(pk=ids[0])):
        with pytest.raises(TypeError):
            kept.save()
        with pytest.raises(TypeError):
            kept.delete()


def test_erasing_a_person_leaves_the_log_whole(ids: list[int], alice: Account) -> None:
    alice.delete()
    assert not Account.objects.filter(pk=alice.pk).exists()
    assert verifying.verify().events == Event.objects.count() >= len(ids)


# ---- Tampering -----------------------------------------------------------------------------------
def test_an_altered_event_is_named(ids: list[int]) -> None:
    below_the_triggers("UPDATE audit_event SET verb = 'token.revoked' WHERE id = %s", ids[3])
    below_the_triggers("UPDATE audit_event SET actor_id = 99 WHERE id = %s", ids[5])
    assert first_bad() == f"event {ids[3]} was altered after seal 1"


@pytest.mark.parametrize(
    "change",
    [
        "subject_id = 'x'",
        "subject_type = 'x'",
        "actor_id = NULL",
        "data = '{}'",
        "at = '2020-01-01 00:00:00+00:00'",
    ],
)
def test_no_column_of_an_event_can_be_altered_unseen(ids: list[int], change: str) -> None:
    below_the_triggers(f"UPDATE audit_event SET {change} WHERE id = {ids[1]}")
    assert first_bad() == f"event {ids[1]} was altered after seal 1"


def test_a_missing_event_is_named(ids: list[int]) -> None:
    below_the_triggers("DELETE FROM audit_event WHERE id = %s", ids[2])
    assert first_bad() == f"event {ids[2]} is missing; seal 1 names it"


def test_an_event_taken_out_with_its_entry_is_named_by_its_place(ids: list[int]) -> None:
    for table, column in (("audit_event", "id"), ("audit_sealedevent", "event_id")):
        below_the_triggers(f"DELETE FROM {table} WHERE {column} = {ids[2]}")
    assert first_bad() == f"an event is missing: number 3 of seal 1, after event {ids[1]}"


def test_an_event_put_into_a_seal_afterwards_is_named(ids: list[int], alice: Account) -> None:
    (new,) = write(alice, 1)
    SealedEvent.objects.create(
        event_id=new,
        seal_id=1,
        position=5,
        leaf=merkle.leaf_hash(b"anything"),
    )
    assert first_bad() == f"event {new} was inserted into seal 1 afterwards"


def test_events_in_another_order_are_named(ids: list[int]) -> None:
    for old, new in ((1, 90), (2, 1), (90, 2)):
        below_the_triggers(
            "UPDATE audit_sealedevent SET position = %s WHERE seal_id = 1 AND position = %s",
            new,
            old,
        )
    assert first_bad() == f"event {ids[1]} is out of its order in seal 1"


def test_events_that_change_places_are_named(ids: list[int]) -> None:
    for old, new in ((ids[1], 9999), (ids[2], ids[1]), (9999, ids[2])):
        below_the_triggers("UPDATE audit_event SET id = %s WHERE id = %s", new, old)
    assert first_bad() == f"event {ids[1]} was altered after seal 1"


def test_an_event_replaced_together_with_its_hash_breaks_its_seal(ids: list[int]) -> None:
    below_the_triggers("UPDATE audit_event SET subject_id = 'x' WHERE id = %s", ids[6])
    row = Event.objects.filter(pk=ids[6]).values_list(*verifying.COLUMNS).get()
    leaf = merkle.leaf_hash(verifying.event_bytes(row))
    below_the_triggers("UPDATE audit_sealedevent SET leaf = %s WHERE event_id = %s", leaf, ids[6])
    assert first_bad().startswith("seal 2 is broken: an event between")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE audit_seal SET root = previous WHERE number = 2", "seal 2 was altered"),
        ("UPDATE audit_seal SET sealed_at = newest_at WHERE number = 1", "seal 1 was altered"),
        ("UPDATE audit_seal SET signature = previous WHERE number = 1", "seal 1 was altered"),
        ("UPDATE audit_seal SET key_id = 'another' WHERE number = 2", "seal 2 is signed with"),
        ("DELETE FROM audit_seal WHERE number = 1", "seal 1 is missing"),
        ("DELETE FROM audit_seal WHERE number = 2", "seal 2 is missing"),
    ],
)
def test_a_broken_seal_is_named(ids: list[int], change: str, found: str) -> None:
    below_the_triggers(change)
    assert first_bad().startswith(found)


def test_a_seal_signed_anew_with_the_right_key_breaks_the_next_one(ids: list[int]) -> None:
    seal = Seal.objects.get(number=1)
    seal.sealed_at += timedelta(hours=1)
    below_the_triggers(
        "UPDATE audit_seal SET sealed_at = %s, signature = %s WHERE number = 1",
        seal.sealed_at if connection.vendor == "postgresql" else str(seal.sealed_at),
        keys.signing_key().sign(seal.statement).hex(),
    )
    assert first_bad() == "seal 2 does not follow the seal before it"


def test_a_log_cut_off_at_its_end_is_found_with_the_head_that_was_kept(ids: list[int]) -> None:
    head = audit("verify").split("head ")[1].strip()
    assert "whole" in audit("verify", "--head", head)
    below_the_triggers(f"DELETE FROM audit_event WHERE id IN ({ids[5]}, {ids[6]})")
    below_the_triggers("DELETE FROM audit_sealedevent WHERE seal_id = 2")
    below_the_triggers("DELETE FROM audit_seal WHERE number = 2")
    assert "whole" in audit("verify")
    with pytest.raises(CommandError, match="seal 2 is missing: the log ends before"):
        audit("verify", "--head", head)
    other = Seal.objects.get(number=1).root
    with pytest.raises(CommandError, match="not the one whose hash you kept"):
        audit("verify", "--head", f"1:{other}")


# ---- Keys ----------------------------------------------------------------------------------------
def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path, settings: object) -> None:
    settings.HOME, settings.AUDIT_KEY = tmp_path / "home", ""  # type: ignore[attr-defined]
    public = audit("key").strip()
    assert public == keys.public_key()
    assert len(public) == 64
    assert (tmp_path / "home" / "audit_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["audit_key"]


def test_a_former_key_stays_trusted_only_where_it_is_named(
    ids: list[int], settings: object
) -> None:
    former = keys.public_key()
    settings.AUDIT_KEY = "17" * 32  # type: ignore[attr-defined]
    assert "not trusted here" in first_bad()
    settings.AUDIT_FORMER_KEYS = [former]  # type: ignore[attr-defined]
    audit("verify")
    assert verifying.prove(ids[0])["public_key"] == former


@pytest.mark.parametrize("key", ["short", "G" * 64])
def test_a_key_that_makes_no_sense_stops_the_start(key: str) -> None:
    code = "import portal.settings"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"WEIGHBRIDGE_AUDIT_KEY": key, "WEIGHBRIDGE_SECRET_KEY": "x" * 32, "PATH": ""},
        cwd=SCRIPT.parents[2],
        capture_output=True,
        text=True,
    )
    assert ImproperlyConfigured.__name__ in done.stderr
    assert "64 hex digits" in done.stderr


# ---- The tree ------------------------------------------------------------------------------------
def test_the_tree_is_that_of_rfc_6962() -> None:
    """The roots that the test data of Certificate Transparency give for its first eight leaves."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    inputs.append("606162636465666768696a6b6c6d6e6f")
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in inputs]
    known = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in known.items():
        assert merkle.root(leaves[:size]).hex() == root


def script_root() -> Callable[..., bytes]:
    names: dict[str, object] = {"__name__": "verify_event"}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), names)
    return names["root"]  # type: ignore[return-value]


@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_the_path_of_every_leaf_leads_to_the_root(shape: tuple[int, int]) -> None:
    size, position = shape
    leaves = [merkle.leaf_hash(bytes([number % 256, number // 256])) for number in range(size)]
    path = merkle.path(leaves, position)
    assert script_root()(leaves[position], position, size, path) == merkle.root(leaves)


# ---- Proofs --------------------------------------------------------------------------------------
def third_party(proof: str, tmp_path: Path, *key: str) -> subprocess.CompletedProcess[str]:
    """Somebody with the script and Python, and nothing of ours."""
    (tmp_path / "proof.json").write_text(proof)
    return subprocess.run(
        [sys.executable, str(SCRIPT), "proof.json", *key],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def proof(ids: list[int]) -> str:
    return audit("prove", str(ids[2]))


def test_a_proof_is_checked_without_the_database(
    proof: str, ids: list[int], tmp_path: Path
) -> None:
    done = third_party(proof, tmp_path, audit("key").strip())
    assert done.returncode == 0, done.stderr
    assert "proven: in seal 1" in done.stdout
    assert f'"id": {ids[2]}' in done.stdout
    assert "Compare it" in third_party(proof, tmp_path).stdout
    assert third_party(proof, tmp_path, "17" * 32).returncode == 1


def flipped(text: str) -> str:
    return ("1" if text[0] != "1" else "2") + text[1:]


def _event(proof: dict) -> None:
    proof["event"]["data"]["number"] += 1


def _path(proof: dict) -> None:
    proof["path"][1] = flipped(proof["path"][1])


def _signature(proof: dict) -> None:
    proof["signature"] = flipped(proof["signature"])


def _previous(proof: dict) -> None:
    proof["seal"]["previous"] = flipped(proof["seal"]["previous"])


def _position(proof: dict) -> None:
    proof["position"] += 1


def _shorter(proof: dict) -> None:
    proof["path"].pop()


def _longer(proof: dict) -> None:
    proof["path"].append("00" * 32)


def _nothing(proof: dict) -> None:
    proof.clear()


@pytest.mark.parametrize(
    "change", [_event, _path, _signature, _previous, _position, _shorter, _longer, _nothing]
)
def test_a_proof_of_which_one_byte_was_changed_proves_nothing(
    proof: str, tmp_path: Path, change: Callable[[dict], None]
) -> None:
    changed = json.loads(proof)
    change(changed)
    done = third_party(json.dumps(changed), tmp_path)
    assert done.returncode == 1
    assert "NOT PROVEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_sealed_or_not_there_is_not_proven(alice: Account) -> None:
    (event,) = write(alice, 1)
    with pytest.raises(CommandError, match="in no seal yet"):
        audit("prove", str(event))
    with pytest.raises(CommandError, match="There is no event"):
        audit("prove", "999999")


def test_an_altered_event_is_not_proven(ids: list[int]) -> None:
    below_the_triggers("UPDATE audit_event SET subject_id = 'x' WHERE id = %s", ids[0])
    with pytest.raises(Refusal, match="do not fit"):
        verifying.prove(ids[0])


# ---- Many at once --------------------------------------------------------------------------------
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_parallel_inserts_while_sealing_lose_nothing() -> None:
    erin = Account.objects.create_user("erin@lab.test", "x", name="Erin")
    writing = [True]
    failed: list[BaseException] = []

    def thread(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)
            finally:
                connections.close_all()

        started = threading.Thread(target=run)
        started.start()
        return started

    def insert() -> None:
        for number in range(60):
            with transaction.atomic():
                write(erin, 3)
                if number % 7 == 0:  # a transaction that is slow to commit
                    threading.Event().wait(0.02)
                if number % 5 == 0:  # and one that never does: its ids stay empty
                    transaction.set_rollback(True)

    def seal() -> None:
        while writing[0]:
            sealing.seal_waiting(late=True)

    sealers = [thread(seal) for _ in range(2)]
    writers = [thread(insert) for _ in range(4)]
    for one in writers:
        one.join()
    writing[0] = False
    for one in sealers:
        one.join()
    assert not failed
    sealing.seal_waiting(late=True)
    assert SealedEvent.objects.count() == Event.objects.count() == 4 * 48 * 3
    assert Seal.objects.count() > 2
    assert verifying.verify().waiting == 0
