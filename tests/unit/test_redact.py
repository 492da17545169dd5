"""What is taken for a secret, and what becomes of it."""

from __future__ import annotations

import pytest
from factories import make_broken, make_record

from regress import redact
from regress.record import decode_record, encode


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test keeps secret is none of the others' business."""
    monkeypatch.setattr(redact._Known, "values", frozenset())
    monkeypatch.setattr(redact._Known, "pattern", None)


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "HF_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "aws_secret_access_key",
        "AWS_ACCESS_KEY_ID",
        "DB_PASSWORD",
        "PGPASSWORD",
        "OPENAI_API_KEY",
        "APIKEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "SSH_PRIVATE_KEY",
        "TVM_TOKEN",
    ],
)
def test_a_name_says_secret(name: str) -> None:
    """Whatever stands around the word."""
    assert redact.names_secret(name)


@pytest.mark.parametrize("name", ["PATH", "TOKENIZERS_PARALLELISM", "TVM_MAX_TOKENS", "OMP_NUM_THREADS", "KEYBOARD"])
def test_a_name_says_nothing_of_a_secret(name: str) -> None:
    """What only sounds like one stays."""
    assert not redact.names_secret(name)


def test_secret_variables_are_left_out_of_an_environment() -> None:
    """All others stay."""
    env = {"PATH": "/bin", "GH_TOKEN": "x", "MY_SECRET": "y", "TOKENIZERS_PARALLELISM": "false"}
    assert redact.without_secrets(env) == {"PATH": "/bin", "TOKENIZERS_PARALLELISM": "false"}
    assert redact.without_secrets({**env, "UV_INDEX_PASSWORD": "z"}, kept="UV_").keys() - env.keys() == {
        "UV_INDEX_PASSWORD"
    }


def test_what_was_kept_secret_is_struck_out() -> None:
    """Wherever it stands, and whole where one value begins with another."""
    redact.keep_secret({"A_TOKEN": "correct-horse", "B_TOKEN": "correct-horse-battery", "PATH": "/usr/bin/env"})
    text = "GET https://x/?t=correct-horse-battery -H correct-horse /usr/bin/env"
    assert redact.without_known(text) == "GET https://x/?t=*** -H *** /usr/bin/env"
    assert redact.struck("correct-horse") == "***"
    assert redact.publishable("failed: correct-horse") == "failed: ***"


def test_a_secret_of_several_lines_is_struck_out_line_by_line() -> None:
    """A log has one line of it at a time; what is too short to be told from a word stays."""
    redact.keep_secret({"DEPLOY_PRIVATE_KEY": "-----BEGIN-----\nMIIEvQIBADANBg\n  kqhkiG9w0BAQ\nab\n"})
    assert redact.without_known("x MIIEvQIBADANBg y") == "x *** y"
    assert redact.without_known("kqhkiG9w0BAQ\nab") == "***\nab"


def test_a_short_value_is_no_secret() -> None:
    """`DB_PASSWORD=admin` must not strike out every `admin` of a text."""
    redact.keep_secret({"DB_PASSWORD": "admin", "X_TOKEN": "", "Y_TOKEN": "1234567"})
    assert redact.struck("admin 1234567") == "admin 1234567"


def test_tokens_are_struck_out_by_their_shape() -> None:
    """Also where this process was never given them."""
    for token in ("ghp_" + "a" * 36, "gho_" + "b" * 36, "ghs_" + "c" * 36, "github_pat_" + "d" * 40, "hf_" + "e" * 34):
        assert redact.struck(f"x {token} y") == "x *** y"
    assert redact.struck("Authorization: Bearer abc.def") == "Authorization: ***"
    assert redact.struck("https://user:pass@host/x") == "https://***@host/x"


def test_a_record_never_holds_what_was_kept_secret() -> None:
    """A worker can read what it was not told, and print it anywhere; the record stays one that can be read."""
    redact.keep_secret({"CI_TOKEN": "tok-0123456789"})
    record = make_record(make_broken(log="env: tok-0123456789", cause="died of tok-0123456789"))
    data = encode(record)
    assert b"tok-0123456789" not in data
    failure = decode_record(data, "x").cases[0].failure
    assert failure is not None
    assert (failure.log, failure.cause) == ("env: ***", "died of ***")
