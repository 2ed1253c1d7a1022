"""What a person is shown has no secrets in it."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.address import parse
from comfyrec.client.redaction import Redaction
from comfyrec.client.result import Failure, Outcome, Result

SECRET = st.text("abc#%/ é", min_size=4, max_size=12)


@given(st.lists(SECRET, min_size=1, max_size=4), st.text(max_size=10))
def test_no_secret_is_left_plain_or_percent_encoded(secrets: list[str], around: str) -> None:
    redact = Redaction.over(secrets)
    text = around.join([*secrets, *(quote(secret, safe="") for secret in secrets)])

    shown = redact(text)

    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    longest = max(forms, key=len)
    assert longest not in shown


def test_short_values_are_left_alone() -> None:
    assert Redaction.over(["no"])("no answer") == "no answer"


def test_passwords_headers_and_keys_are_hidden() -> None:
    redact = Redaction.of(
        parse("http://me:hush-hush@gpu:8188", where="server"),
        {"Authorization": "Bearer token-of-mine"},
        {"api_key_comfy_org": "key-of-mine", "number": 3},
        {"COMFY_CLOUD_API_KEY": "cloud-key"},
    )

    shown = redact("hush-hush token-of-mine key-of-mine cloud-key Bearer")

    assert shown == "*** *** *** *** Bearer"


def test_a_result_is_shown_without_secrets() -> None:
    result = Result(
        prompt_id="p",
        outcome=Outcome.ERROR,
        reason="key-of-mine failed",
        failure=Failure("key-of-mine", traceback=("at key-of-mine",)),
        warnings=("key-of-mine",),
    )

    shown = Redaction.over(["key-of-mine"]).result(result)

    assert "key-of-mine" not in repr(shown)
