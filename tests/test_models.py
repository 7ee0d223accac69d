"""Model files: the table, checking one brought by hand, and fetching from a server that breaks off, lies and redirects."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from starting import Runs

import fer_transfer
from fer_transfer.files import fetching
from fer_transfer.files.fetching import FetchError, Wanted, fetch
from fer_transfer.models import MODELS, known_model


@pytest.fixture
def fer_weights(here: Runs) -> Runs:
    return partial(here, "weights")


DATA = bytes(range(256)) * 1000
Answer = Callable[[BaseHTTPRequestHandler, int], None]  # the request, and the first byte that it asks for


def send(request: BaseHTTPRequestHandler, code: int, data: bytes, **headers: str) -> None:
    request.send_response(code)
    for name, value in {"Content_Length": str(len(data)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


def honest(request: BaseHTTPRequestHandler, start: int) -> None:
    if start:
        rest = DATA[start:]
        send(request, 206, rest, Content_Range=f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
    else:
        send(request, 200, DATA)


def breaking(request: BaseHTTPRequestHandler, start: int) -> None:
    """At most 100,000 bytes at a time, where more are announced."""
    end = {"Content_Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
    send(request, 206 if start else 200, DATA[start:][:100_000], **{"Content_Length": str(len(DATA) - start), **end})


def whole(request: BaseHTTPRequestHandler, start: int) -> None:
    """The whole, whatever range was asked for."""
    send(request, 200, DATA)


def endless(request: BaseHTTPRequestHandler, start: int) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(DATA)  # until nobody listens


def redirect(to: str) -> Answer:
    return lambda request, start: send(request, 302, b"", Location=to)


class Server(ThreadingHTTPServer):
    """Answers each path as told, and keeps the first byte of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {"/honest": honest}
        self.asked: list[tuple[str, int]] = []

    def url(self, path: str, answer: Answer | None = None, host: str = "127.0.0.1") -> str:
        if answer:
            self.answers[path] = answer
        return f"http://{host}:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A listener that hung up is what a test wants."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        self.server.asked.append((self.path, start))
        self.server.answers.get(self.path, lambda request, start: send(request, 404, b""))(self, start)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def wanted(address: str) -> Wanted:
    return Wanted(address, len(DATA), hashlib.sha256(DATA).hexdigest())


def test_a_server_that_breaks_off_is_asked_for_the_rest(server: Server, tmp_path: Path) -> None:
    told: list[int] = []
    fetch(wanted(server.url("/x", breaking)), tmp_path / "x", lambda done, total: told.append(done))
    assert (tmp_path / "x").read_bytes() == DATA and [p.name for p in tmp_path.iterdir()] == ["x"]
    assert [start for _, start in server.asked] == [0, 100_000, 200_000] and told == sorted(told)


def test_what_an_earlier_command_left_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(DATA[:1234])
    fetch(wanted(server.url("/honest")), tmp_path / "x")
    assert server.asked == [("/honest", 1234)] and (tmp_path / "x").read_bytes() == DATA
    (tmp_path / "y.part").write_bytes(DATA[:1234])
    fetch(wanted(server.url("/whole", whole)), tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == DATA
    (tmp_path / "z.part").write_bytes(DATA + b"more")  # none of this file
    fetch(wanted(server.url("/honest")), tmp_path / "z")
    assert (tmp_path / "z").read_bytes() == DATA


def test_a_server_that_brings_nothing_more_is_left_and_what_is_there_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(DATA[:10])
    nothing: Answer = lambda request, start: request.close_connection  # noqa: E731
    with pytest.raises(FetchError, match=r"10 are here and 5 tries in a row brought no more .*repeat the command"):
        fetch(wanted(server.url("/x", nothing)), tmp_path / "x")
    assert len(server.asked) == 5 and (tmp_path / "x.part").read_bytes() == DATA[:10]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda request, start: send(request, 200, DATA[::-1]), r"Expected sha256 .* thrown away"),
        (lambda request, start: send(request, 200, DATA[:-1]), r"256000 bytes .* the server has 255999"),
        (lambda request, start: send(request, 200, DATA, Content_Length="9" * 5000), r"the server has 9{20}\."),
        (lambda request, start: send(request, 200, b"<html>log in</html>"), r"the server has 19\."),
        (lambda request, start: send(request, 403, b"no"), r"the server answers 403"),
        (
            lambda request, start: send(request, 206, DATA[5:], Content_Range="bytes 5-9/10"),
            r"bytes from 0 .*bytes 5-9/10",
        ),
        (endless, r"256000 bytes .* there are more"),
        (redirect("http://localhost/x"), r"redirects to http://localhost/x, which is not followed"),
        (redirect("file:///etc/passwd"), r"Expected a file .* is not allowed"),
        (redirect("/x"), r"in a circle"),
    ],
    ids=["bytes", "length", "digits", "a page", "403", "range", "endless", "host", "scheme", "loop"],
)
def test_a_server_that_lies_leaves_nothing(server: Server, tmp_path: Path, answer: Answer, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        fetch(wanted(server.url("/x", answer)), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_redirect_on_the_same_host_is_followed(server: Server, tmp_path: Path) -> None:
    fetch(wanted(server.url("/x", redirect("/honest"))), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_chain_of_redirects_has_an_end(server: Server, tmp_path: Path) -> None:
    server.answers |= {f"/{n}": redirect(f"/{n - 1}" if n > 1 else "/honest") for n in range(1, 7)}
    fetch(wanted(server.url("/5")), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    with pytest.raises(FetchError, match=r"^.*redirects more than 5 times, or in a circle: [^\n]*$"):
        fetch(wanted(server.url("/6")), tmp_path / "y")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_two_do_not_fetch_one_file_at_a_time(server: Server, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: BaseHTTPRequestHandler, start: int) -> None:
        begun.set()
        assert go_on.wait(10)
        honest(request, start)

    url = server.url("/slow", slow)
    first = threading.Thread(target=fetch, args=(wanted(url), tmp_path / "x"))
    first.start()
    assert begun.wait(10)
    with pytest.raises(FetchError, match=r"only one that fetches .*/x, but another command does.*repeat"):
        fetch(wanted(server.url("/honest")), tmp_path / "x")
    fetch(wanted(server.url("/honest")), tmp_path / "y")  # another file is not held up
    go_on.set()
    first.join()
    assert server.asked.count(("/honest", 0)) == 1 and len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes() == DATA


def test_a_lie_in_what_was_gone_on_with_is_thrown_away_and_the_next_time_all_is_well(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(b"x" * 99)
    with pytest.raises(FetchError, match="sha256"):
        fetch(wanted(server.url("/honest")), tmp_path / "x")
    fetch(wanted(server.url("/honest")), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_server_that_says_nothing_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 0.05)
    silent: Answer = lambda request, start: threading.Event().wait(0.5)  # type: ignore[assignment, return-value]  # noqa: E731
    with pytest.raises(FetchError, match="timed out"):
        fetch(wanted(server.url("/x", silent)), tmp_path / "x")


def test_the_command_fetches_and_checks(
    server: Server, shared_weights: Path, tmp_path: Path, fer_weights: Runs
) -> None:
    name = "face_detection_yunet_2023mar.onnx"
    data = (shared_weights / name).read_bytes()
    mirror = server.url("/yunet", lambda request, start: send(request, 200, data))
    done = fer_weights(f"model={name}", "fetch=true", f"address={mirror}")
    assert done.returncode == 0 and f"{name} is {name} as published (232589 bytes" in done.stdout, done.stderr
    again = fer_weights(f"model={name}", "fetch=true", f"address={mirror}")
    assert again.returncode == 0 and len(server.asked) == 1 and (tmp_path / name).read_bytes() == data
    (tmp_path / name).write_bytes(data[:-1])
    for words in (["fetch=true", f"address={mirror}"], [f"file={name}"]):
        refused = fer_weights(f"model={name}", *words)
        assert refused.returncode == 1 and "has 232588 bytes" in refused.stderr, refused.stderr
    assert (tmp_path / name).read_bytes() == data[:-1]  # nothing of a user's is replaced


def test_without_a_network_one_message_says_what_to_do(tmp_path: Path, fer_weights: Runs) -> None:
    name = "face_landmark.tflite"
    done = fer_weights(f"model={name}", "fetch=true", "address=http://127.0.0.1:9/x")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    assert "127.0.0.1:9 to answer, but it cannot be reached" in done.stderr and "Traceback" not in done.stderr
    assert "fer-weights model=mesh file=FILE" in done.stderr and done.stderr.count("error:") == 1


def test_what_cannot_be_fetched_or_checked_is_said(tmp_path: Path, fer_weights: Runs) -> None:
    for words, message in (
        (["model=VGG_CNN_M_2048.caffemodel", "fetch=true"], "no source states its size and digest"),
        (["model=imagenet_mean.binaryproto", "fetch=true"], "it lies in an archive"),
        (
            ["model=yunett"],
            "vgg_mean, but got 'yunett'. Did you mean 'yunet'?",
        ),
        (["fetch=true"], "Expected model=NAME with fetch"),
        (["model=face_landmark.tflite", "file=none"], "at none, but it cannot be read"),
        (["model=VGG_CNN_M_2048.caffemodel", "file=none"], "no source states one"),
    ):
        done = fer_weights(*words)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_the_table_agrees_with_the_files_that_are_here(shared_weights: Path) -> None:
    here = [model for model in MODELS.values() if (shared_weights / model.name).exists()]
    assert len(here) >= 4
    for model in here:
        data = (shared_weights / model.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (model.size, model.sha256), model.name


def test_messages_name_models_that_there_are() -> None:
    sources = [*Path(fer_transfer.__file__).parent.rglob("*.py"), *(Path(__file__).parents[1] / "docs").rglob("*.md")]
    named = {name for path in sources for name in re.findall(r"fer-weights model=([\w.]+)", path.read_text())} - {
        "NAME"
    }
    assert {"yunet", "mesh"} <= named and not {name for name in named if known_model(name) not in MODELS.values()}
