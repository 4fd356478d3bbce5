"""What object storage promises, on a folder of this machine and on a real S3 server, and what it does in faults."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coref_k8s.errors import DataError, ObjectStoreError, RequestError
from coref_k8s.objects import Place
from coref_k8s.wording import Message
from tests.objectstore import BUCKET, Link, ObjectServer, credentials

_numbers = itertools.count()
#: More than one piece of an upload.
LARGE = 40 * 2**20


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    if request.param == "folder":
        return Place(f"file://{tmp_path}/kept")
    server: ObjectServer = request.getfixturevalue("object_server")
    return Place(new_uri(), credentials(tmp_path / "secret", server.endpoint))


def new_uri() -> str:
    return f"s3://{BUCKET}/test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def through(link: Link, tmp_path: Path) -> Place:
    """An empty place on the server, reached through a link."""
    return Place(new_uri(), credentials(tmp_path / "secret", link.endpoint))


def write(folder: Path, **files: bytes | str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# -- the contract ------------------------------------------------------------------------------------------


def test_a_folder_comes_back_as_it_was(place: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", result_json="{}", model__config_json="가나다", empty_txt=b"")
    here.joinpath("이름 50%.txt").write_text("x")
    here.joinpath("large").write_bytes(os.urandom(LARGE))
    assert not place.exists("studies/a/512/0")
    place.put("studies/a/512/0", here)
    assert place.exists("studies/a/512/0")
    assert place.get("studies/a/512/0", tmp_path / "there/0")
    assert read(tmp_path / "there/0") == read(here)


def test_what_was_never_put_is_not_there(place: Place, tmp_path: Path) -> None:
    assert not place.get("studies/a/512/0", tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert place.list("studies") == []
    place.delete("studies/a")


def test_a_folder_is_replaced_as_a_whole_and_leaves_nothing(place: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_txt="1", b_txt="2")
    place.put("x", here)
    here.joinpath("a.txt").unlink()
    write(here, b_txt="3")
    place.put("x", here)
    assert place.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"b.txt": b"3"}
    assert len(objects(place)) == 2  # one file and the index


def test_some_of_it_can_be_kept_fetched_and_dropped(place: Place, tmp_path: Path) -> None:
    here = write(
        tmp_path / "here", result_json="{}", model__config_json="{}", writing_tmp="half", _hidden="x"
    )
    place.put("x", here, lambda path: path != "result.json")
    assert place.get("x", tmp_path / "a")
    assert read(tmp_path / "a") == {"model/config.json": b"{}"}  # and nothing that is being written
    place.put("x", here)
    assert place.get("x", tmp_path / "b", lambda path: path.startswith("model"))
    assert read(tmp_path / "b") == {"model/config.json": b"{}"}
    place.drop("x", lambda path: path.startswith("model"))
    assert place.get("x", tmp_path / "c")
    assert read(tmp_path / "c") == {"result.json": b"{}"}
    place.drop("nothing", lambda path: True)


def test_a_part_of_a_folder_is_found_by_its_name(place: Place, tmp_path: Path) -> None:
    place.put("studies/a/512/0", write(tmp_path / "here", result_json="{}", model__sub__config_json="{}"))
    assert place.get("studies/a/512/0/model", tmp_path / "model")
    assert read(tmp_path / "model") == {"sub/config.json": b"{}"}
    assert place.get("studies/a/512/0/result.json", tmp_path / "result.json")
    assert (tmp_path / "result.json").read_text() == "{}"
    assert not place.get("studies/a/512/0/checkpoints", tmp_path / "checkpoints")
    assert not place.get("studies/a/512", tmp_path / "length")


def test_what_two_add_to_one_folder_is_there(place: Place, tmp_path: Path) -> None:
    place.put("x", write(tmp_path / "one", a_txt="1", statistics_json="{}"), adds=True)
    place.put("x", write(tmp_path / "two", b_txt="2", statistics_json="[]"), adds=True)
    place.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"a.txt": b"1", "b.txt": b"2", "statistics.json": b"[]"}


def test_only_what_is_missing_here_or_damaged_is_brought(place: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_txt="one", b_txt="two")
    place.put("x", here)
    there = tmp_path / "there"
    place.get("x", there)
    kept = (there / "a.txt").stat().st_ino
    write(there, b_txt="twö"[:3], own_txt="mine")
    assert place.get("x", there)
    assert read(there) == {"a.txt": b"one", "b.txt": b"two", "own.txt": b"mine"}
    assert (there / "a.txt").stat().st_ino == kept


def test_folders_are_listed_and_deleted_with_those_below(place: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_txt="1")
    for name in ("studies/a/512/0", "studies/a/512/1", "studies/ab/512/0"):
        place.put(name, here)
    assert place.list("studies/a") == ["studies/a/512/0", "studies/a/512/1"]
    place.delete("studies/a")
    assert place.list("studies") == ["studies/ab/512/0"]
    assert not place.get("studies/a/512/0", tmp_path / "there")


def test_what_people_put_there_is_read_as_it_is(place: Place, tmp_path: Path) -> None:
    put_by_hand(place, "models/own/config.json", b"{}")
    put_by_hand(place, "texts/a.txt", "문장".encode())
    assert place.get("models/own", tmp_path / "own")
    assert read(tmp_path / "own") == {"config.json": b"{}"}
    assert place.get("texts/a.txt", tmp_path / "texts/a.txt")
    assert (tmp_path / "texts/a.txt").read_text() == "문장"
    time.sleep(1.1)  # stores know seconds
    put_by_hand(place, "models/own/config.json", b"[]")  # another one of the same size
    assert place.get("models/own", tmp_path / "own")
    assert read(tmp_path / "own") == {"config.json": b"[]"}


def test_a_damaged_file_is_refused_and_the_others_are_brought(place: Place, tmp_path: Path) -> None:
    place.put("x", write(tmp_path / "here", a_txt="one", b_txt="two"))
    (damaged,) = [key for key, content in objects(place).items() if content == b"two"]
    put_by_hand(place, damaged, b"tw0")
    with pytest.raises(DataError, match=r"b\.txt in x.* is not what was sent"):
        place.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"a.txt": b"one"}


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"a": {}}', b'{"../../a": {"size": 1, "sha256": "0"}}'])
def test_an_index_that_is_none_of_ours_leads_nowhere(place: Place, tmp_path: Path, index: bytes) -> None:
    put_by_hand(place, "x/.folder/index.json", index)
    with pytest.raises(DataError, match="index of x cannot be read"):
        place.get("x", tmp_path / "there")


def test_what_a_newer_attempt_refuses_does_not_count(place: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_txt="old")
    place.put("x", here)
    write(here, a_txt="new")

    @contextmanager
    def refused() -> Iterator[None]:
        raise RuntimeError("another attempt has it")
        yield

    with pytest.raises(RuntimeError):
        place.put("x", here, held=refused)
    with pytest.raises(RuntimeError):
        place.drop("x", lambda path: True, held=refused)
    place.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"a.txt": b"old"}


def test_two_that_fetch_into_one_folder_fetch_once(place: Place, tmp_path: Path) -> None:
    place.put("prepared/1", write(tmp_path / "here", large=os.urandom(LARGE)))
    folder = tmp_path / "node/prepared/1"
    several = [threading.Thread(target=place.get, args=("prepared/1", folder)) for _ in range(3)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert read(folder) == read(tmp_path / "here")
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["1"]


# -- faults ------------------------------------------------------------------------------------------------


def _put_and_die(uri: str, secret: Path, folder: Path) -> None:
    Place(uri, secret).put("x", folder)


def test_an_upload_that_is_killed_half_way_is_never_read(link: Link, through: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", small_txt="old", large=b"old")
    through.put("x", here)
    write(here, a_txt="first", large=os.urandom(LARGE), small_txt="new")
    link.rate = 8_000_000
    writer = multiprocessing.get_context("spawn").Process(
        target=_put_and_die, args=(through.uri, tmp_path / "secret", here)
    )
    writer.start()
    until(lambda: sum("uploadId" in line for line in link.requests) >= 2, "the large file to be on its way")
    writer.kill()
    writer.join()
    link.rate = 0
    assert through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"small.txt": b"old", "large": b"old"}
    # what arrived before is not sent again
    sent = len(link.requests)
    through.put("x", here)
    wrote = [line for line in link.requests[sent:] if line.startswith("PUT") and "uploadId" not in line]
    assert len(wrote) <= 2  # the small file, if it was not there, and the index; the first one was
    through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == read(here)


def test_a_server_killed_in_the_middle_keeps_what_there_was(
    object_server: ObjectServer, link: Link, through: Place, tmp_path: Path
) -> None:
    here = write(tmp_path / "here", large=b"old")
    through.put("x", here)
    write(here, large=os.urandom(LARGE))
    link.rate = 8_000_000
    failed: list[BaseException] = []

    def put() -> None:
        try:
            through.put("x", here)
        except ObjectStoreError as error:
            failed.append(error)

    writing = threading.Thread(target=put)
    writing.start()
    until(lambda: sum("uploadId" in line for line in link.requests) >= 2, "the large file to be on its way")
    object_server.kill()
    writing.join(60)
    object_server.start()
    link.rate = 0
    (error,) = failed
    assert "did not answer as expected" in str(error)
    until(lambda: through.get("x", tmp_path / "there"), "the server to serve again", catch=ObjectStoreError)
    assert read(tmp_path / "there") == {"large": b"old"}
    through.put("x", here)
    through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == read(here)


def test_a_busy_server_is_asked_again(link: Link, through: Place, tmp_path: Path) -> None:
    link.answer, link.answers = "503 Slow Down|SlowDown", 3
    through.put("x", write(tmp_path / "here", a_txt="1"))
    link.answer, link.answers = "500 Internal|InternalError", 3
    assert through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"a.txt": b"1"}


def test_a_server_that_stays_busy_is_one_sentence_without_secrets(
    link: Link, through: Place, tmp_path: Path
) -> None:
    link.answer = "503 Slow Down|SlowDown"
    with pytest.raises(ObjectStoreError) as caught:
        through.put("x", write(tmp_path / "here", a_txt="1"))
    sentence = str(caught.value)
    assert sentence.startswith(f"object storage {through.uri} did not answer as expected (SlowDown")
    assert "\n" not in sentence
    assert "secret-word" not in sentence
    link.answer = ""
    through.put("x", tmp_path / "here")  # and the same place goes on when it is over


def test_a_connection_that_is_cut_is_taken_up_again(link: Link, through: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", large=os.urandom(LARGE))
    through.put("x", here)
    link.cut_after = 5_000_000
    with pytest.raises(ObjectStoreError):
        through.get("x", tmp_path / "there")
    assert not (tmp_path / "there").exists()
    link.cut_after = 0
    assert through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == read(here)


def test_a_slow_link_takes_its_time(link: Link, through: Place, tmp_path: Path) -> None:
    here = write(tmp_path / "here", large=os.urandom(6_000_000))
    link.rate = 2_000_000
    began = time.monotonic()
    through.put("x", here)
    assert time.monotonic() - began > 2
    through.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == read(here)


def test_renewed_credentials_are_read_from_the_secret(link: Link, through: Place, tmp_path: Path) -> None:
    through.put("x", write(tmp_path / "here", a_txt="1"))
    link.answer, link.only = "403 Forbidden|ExpiredToken", "Credential=owner/"
    with pytest.raises(ObjectStoreError, match=r"refuses \(ExpiredToken\)"):
        through.get("x", tmp_path / "there")
    with pytest.raises(ObjectStoreError, match=r"refuses \(ExpiredToken\)"):
        through.put("x", tmp_path / "here")
    credentials(tmp_path / "secret", link.endpoint, "renewed")
    assert through.get("x", tmp_path / "there")


def test_without_the_right_to_delete_only_space_is_lost(link: Link, tmp_path: Path) -> None:
    said: list[Message] = []
    place = Place(new_uri(), credentials(tmp_path / "secret", link.endpoint), warn=said.append)
    here = write(tmp_path / "here", a_txt="1")
    place.put("x", here)
    link.answer, link.only = "403 Forbidden|AccessDenied", r"^(DELETE|POST .*\?delete)"
    write(here, a_txt="2")
    place.put("x", here)
    assert ["keeps files of x that nobody needs" in str(one) for one in said] == [True]
    place.get("x", tmp_path / "there")
    assert read(tmp_path / "there") == {"a.txt": b"2"}


def test_who_may_only_read_reads(object_server: ObjectServer, tmp_path: Path) -> None:
    uri = new_uri()
    here = write(tmp_path / "here", a_txt="1")
    Place(uri, credentials(tmp_path / "owner", object_server.endpoint)).put("x", here)
    reader = Place(uri, credentials(tmp_path / "reader", object_server.endpoint, "reader"))
    assert reader.get("x", tmp_path / "there")
    with pytest.raises(ObjectStoreError, match=r"refuses \(AccessDenied"):
        reader.put("x", write(here, a_txt="2"))


def test_a_wrong_secret_and_no_server_say_so(object_server: ObjectServer, tmp_path: Path) -> None:
    wrong = credentials(tmp_path / "wrong", object_server.endpoint)
    (wrong / "AWS_SECRET_ACCESS_KEY").write_text("guessed")
    with pytest.raises(ObjectStoreError, match=r"refuses \(SignatureDoesNotMatch"):
        Place(new_uri(), wrong).exists("x")
    with pytest.raises(ObjectStoreError, match="did not answer as expected"):
        Place(new_uri(), credentials(tmp_path / "nobody", "http://127.0.0.1:9")).exists("x")


@pytest.mark.parametrize("uri", ["bucket/prefix", "s3:/bucket", "ftp://bucket/x", "", "s3://"])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match=r"no address of object storage|cannot be opened"):
        Place(uri).exists("x")


# -- help --------------------------------------------------------------------------------------------------


def objects(place: Place) -> dict[str, bytes]:
    """Every object of a place, by its key."""
    bucket = place._bucket
    return {key: bucket.read(key) or b"" for key in bucket.below("")}


def put_by_hand(place: Place, key: str, content: bytes) -> None:
    place._bucket.write(key, content)


def until(
    holds: Callable[[], object], what: str, *, catch: type[Exception] = RuntimeError, seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except catch:
            pass
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")
