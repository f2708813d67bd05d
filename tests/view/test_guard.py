"""Who is let in: the Host header, the token and its cookie, and what a form has to bring."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from outlast.view.guard import is_known
from tests.view.serving import Page, served


class Empty:
    """A store that holds nothing."""

    broken = False

    def stats(self) -> dict[str, int]:
        if self.broken:
            raise ZeroDivisionError("in /etc/secret.py")
        return {}

    def runs(self, *_: object, **__: object) -> list[object]:
        return []

    traces = runs


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with served(Empty()) as running:
        yield running


def test_the_browser_that_was_let_in_sees_the_page(page: Page) -> None:
    answer = page.get("/")
    assert answer.status == 200
    assert "Nothing was traced here yet" in answer.text


def test_without_the_cookie_nothing_is_shown(page: Page) -> None:
    for path in ("/", "/traces", "/nothing", "/runs/abc"):
        assert page.get(path, cookie="").status == 401


def test_a_wrong_cookie_is_none(page: Page) -> None:
    name = page.cookie.partition("=")[0]
    assert page.get("/", cookie=f"{name}=guessed").status == 401
    assert page.get("/", cookie=f"{name}={page.server.site.token}").status == 401  # the token is not the cookie


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_can_use(page: Page) -> None:
    answer = page.get(f"/?token={page.server.site.token}", cookie="")
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{page.cookie};")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert page.server.site.token not in cookie
    assert page.server.site.token not in answer.text


def test_a_wrong_token_gives_no_cookie(page: Page) -> None:
    answer = page.get("/?token=guessed", cookie="")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_the_page_after_the_token_leads_nowhere_else(page: Page) -> None:
    token = page.server.site.token
    for path in ('/"><script>', "//evil.example", "/%2F%2Fevil.example"):
        answer = page.get(f"{path}?token={token}", cookie="")
        assert "<script>" not in answer.text
        assert "url=//" not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", ""]
)
def test_a_name_pointed_at_this_machine_is_refused(page: Page, host: str) -> None:
    answer = page.get("/", host=host.format(port=page.server.port))
    assert answer.status in (400, 421)
    assert "Nothing was traced" not in answer.text


def test_localhost_is_this_machine_too(page: Page) -> None:
    assert page.get("/", host=f"localhost:{page.server.port}").status == 200


def test_a_request_that_another_page_makes_is_refused(page: Page) -> None:
    for site in ("cross-site", "same-site"):  # same-site: another port of this machine
        assert page.get("/", sec_fetch_site=site, sec_fetch_mode="no-cors").status == 403
    assert page.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200


def test_a_form_of_the_page_is_let_through(page: Page) -> None:
    assert page.post("/nothing", {"a": "b"}).status == 404  # past the guard: there is no such page


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:1"},
        {"x_form_token": ""},
        {"x_form_token": "guessed"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "cors"},
    ],
)
def test_a_form_of_another_page_is_refused(page: Page, headers: dict[str, str]) -> None:
    assert page.post("/nothing", {"a": "b"}, **headers).status == 403


def test_a_form_may_carry_its_token_as_a_field(page: Page) -> None:
    assert page.post("/nothing", {"form_token": page.server.site.form_token}, x_form_token="").status == 404


def test_only_plain_forms_are_read(page: Page) -> None:
    assert page.post("/nothing", {}, content_type="application/json").status == 415
    assert page.post("/nothing", {}, content_type="text/plain").status == 415


def test_a_form_that_is_too_large_is_refused(page: Page) -> None:
    assert page.post("/nothing", {"a": "x" * 1_100_000}).status == 413


def test_a_form_of_too_many_fields_is_refused(page: Page) -> None:
    answer = page.post("/nothing", {f"f{number}": "" for number in range(3_000)})
    assert (answer.status, "2,000 fields" in answer.text) == (400, True)
    assert page.post("/nothing", {f"f{number}": "" for number in range(1_999)}).status == 404


def test_a_read_only_store_takes_no_form() -> None:
    with served(Empty(), read_only=True) as running:
        assert running.post("/nothing", {"a": "b"}).status == 403


def test_every_answer_binds_the_browser(page: Page) -> None:
    for path in ("/", "/nothing", "/static/style.css"):
        headers = page.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/etc%2fpasswd",
    ],
)
def test_no_path_reaches_the_file_system(page: Page, path: str) -> None:
    answer = page.get(path)
    assert answer.status in (404, 400)
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_an_error_shows_no_traceback(page: Page, capfd: pytest.CaptureFixture[str]) -> None:
    page.server.site.store.broken = True
    answer = page.get("/")
    page.server.site.store.broken = False
    assert answer.status == 500
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    capfd.readouterr()


def test_an_open_address_allows_numbers_and_named_names_only() -> None:
    hosts = frozenset({"*:80", "workstation:80"})
    assert is_known("10.0.0.7:80", hosts)
    assert is_known("[fe80::1]:80", hosts)
    assert is_known("workstation:80", hosts)
    assert not is_known("evil.example:80", hosts)
    assert not is_known("10.0.0.7:81", hosts)
