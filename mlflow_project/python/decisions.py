"""What a gate and a verification from Python give back; both are true only for a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from markupsafe import Markup

from mlflow_project.python.result import Result

if TYPE_CHECKING:
    from mlflow_project.gate.gate import GateOutcome
    from pipeline.gate.verification import Verification


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Gated:
    """A gate's decision on a version, the scan behind it, and what became of the alias.

    It is true if the version passed, as in `if ban_gate.gate(…):`.
    """

    outcome: GateOutcome
    result: Result

    @property
    def passed(self) -> bool:
        """Whether the version passed, and holds the alias if one was to be moved."""
        return self.outcome.passed

    @property
    def action(self) -> Literal["pass", "block"]:
        """What the policy says of the verdict."""
        return self.outcome.decision.action

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, as sentences; why it was not promoted comes first."""
        return (*self.outcome.objections, *self.outcome.decision.reasons)

    @property
    def model(self) -> str:
        """The version as `models:/NAME/VERSION`."""
        return self.outcome.version.uri

    @property
    def run_id(self) -> str | None:
        """The MLflow run that has the evidence."""
        return self.outcome.claim.run_id

    @property
    def line(self) -> str:
        """What `ban-gate gate` prints."""
        from mlflow_project.gate import told  # noqa: PLC0415 (MLflow, where wanted)

        return told.gate_line(self.outcome)

    def to_dict(self) -> dict[str, object]:
        """What `ban-gate gate --json` prints."""
        from mlflow_project.gate import told  # noqa: PLC0415 (MLflow, where wanted)

        return told.gate_document(self.outcome)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<ban_gate.Gated {self.line}>"

    def _repr_html_(self) -> Markup:
        """The line, and the result of the scan with the gate's report."""
        return Markup("<p><strong>{}</strong></p>{}").format(self.line, self.result._repr_html_())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Verified:
    """Whether a version may be promoted now, and why.

    It is true if the version passes verification, as in `if ban_gate.verify(…):`.
    """

    model: str
    found: Verification

    @property
    def valid(self) -> bool:
        """Whether the version passes verification."""
        return self.found.valid

    @property
    def gated(self) -> bool:
        """Whether the version carries an attestation at all."""
        return self.found.gated

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, as sentences."""
        return self.found.reasons

    @property
    def line(self) -> str:
        """What `ban-gate verify` prints."""
        from mlflow_project.gate import told  # noqa: PLC0415 (MLflow, where wanted)

        return told.verification_line(self.model, self.found)

    def to_dict(self) -> dict[str, object]:
        """What `ban-gate verify --json` prints."""
        from mlflow_project.gate import told  # noqa: PLC0415 (MLflow, where wanted)

        return told.verification_document(self.model, self.found)

    def __bool__(self) -> bool:
        return self.valid

    def __repr__(self) -> str:
        return f"<ban_gate.Verified {self.line}>"
