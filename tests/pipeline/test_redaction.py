"""No secret that a text may carry is left in it, and nothing else is taken out."""

from __future__ import annotations

import pytest

from pipeline.printable import printable
from pipeline.redaction import redacted

SECRET = "h1dden/Pass"  # noqa: S105 (of the tests)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:h1dden-Pass@host:5000/mlflow",
        "postgresql+psycopg://me:h1dden-Pass@host/db",
        "cannot reach `https://h1dden-Pass@host` (503)",
        "https://bucket.s3.amazonaws.com/k?X-Amz-Credential=h1dden-Pass&X-Amz-Signature=h1dden-Pass",
        "https://a.blob.core.windows.net/c/b?sv=1&sig=h1dden-Pass%3D",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=h1dden-Pass==;EndpointSuffix=x",
        "headers {'Authorization': 'Bearer h1dden-Pass'}",
        "Authorization: Basic h1dden-Pass=",
        "connect(user=me password=h1dden-Pass host=h)",
        "aws_secret_access_key=h1dden-Pass",
        "two http://a:h1dden-Pass@b and http://c:h1dden-Pass@d",
        "a password with an at sign http://me:h1dden@Pass@host",
    ],
)
def test_a_secret_in_an_address_or_a_pair_is_hidden(text: str) -> None:
    """Whatever client wrote the sentence."""
    for told in (redacted(text, {}), printable(text)):
        assert "h1dden" not in told
        assert "***" in told


def test_values_of_secret_variables_are_hidden_wherever_they_stand() -> None:
    """Also where no form gives them away, and also percent-encoded in an address."""
    environment = {
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "AWS_SECRET_ACCESS_KEY": "another-secret",
        "DATABASE": "mysql://me:third%20secret@host/db",
    }
    told = redacted(f"it said {SECRET}, another-secret and third%20secret", environment)

    assert told == "it said ***, *** and ***"


@pytest.mark.parametrize(
    "text",
    [
        "models:/digits@champion",
        "s3://bucket/path/to/model.onnx",
        "me@example.org wrote p = 0.03",
        "http://host:5000/#/experiments/1/runs/2",
        "sha256 of token embeddings",
        "the setting `judge.near=2`",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names, addresses and mail of people are not touched."""
    assert redacted(text, {"PASSWORD": "short"}) == text
