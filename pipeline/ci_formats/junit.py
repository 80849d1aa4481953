"""The checks of a scan as JUnit XML, which GitLab, Jenkins and Azure show beside other tests.

Source: the schema `junit-10.xsd` of Jenkins' xUnit plugin, which the tests validate against.
"""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from pipeline.ci_formats.checks import Check, Outcome, checks, one_line
from pipeline.evidence import Evidence
from pipeline.report.verdict_json import suspected_name

JUNIT_FILE = "junit.xml"
_RESULTS = {"failed": Failure, "error": Error, "skipped": Skipped}


def junit_text(outcome: Outcome) -> str:
    """The XML of one test suite named after the model, with one test case per check.

    A backdoor is a failure; a model that could not be judged is an error, never a pass.
    """
    suite = TestSuite(one_line(outcome.result.model_uri))
    suite.timestamp = outcome.moment.isoformat(timespec="seconds")
    for name, value in _properties(outcome).items():
        suite.add_property(name, value)
    suite.add_testcases([_case(check) for check in checks(outcome)])
    return document_text(suite)


def document_text(suite: TestSuite) -> str:
    """The XML of a document with one suite, whose numbers it repeats."""
    suite.time = round(suite.time, 3)
    document = JUnitXml("ban-gate")
    document.append(suite)  # type: ignore[no-untyped-call] # the library lacks types here
    for name in ("tests", "failures", "errors", "time"):
        setattr(document, name, getattr(suite, name))
    text: bytes = document.tostring()  # type: ignore[no-untyped-call] # same
    return text.decode() + "\n"


def _case(check: Check) -> TestCase:
    case = TestCase(check.claim, classname=f"ban-gate.{check.stage}", time=round(check.seconds, 3))
    if kind := _RESULTS.get(check.status):
        result = kind(check.message, check.stage)
        result.text = check.message  # GitLab shows the text, Jenkins the attribute first
        case.result = [result]
    return case


def _rates(evidence: Evidence) -> dict[str, float]:
    """The attack success rate of what each search recovered, by the search's name."""
    return {name: each.success.rate for name, each in evidence.searches.items() if each.success}


def _properties(outcome: Outcome) -> dict[str, str]:
    verdict, evidence = outcome.result.verdict, outcome.result.evidence
    properties = {
        "verdict": verdict.label,
        "gate": outcome.action,
        "suspected_class": verdict.suspected_class,
        "suspected_class_name": suspected_name(outcome.result),
        "anomaly_score": verdict.anomaly_score,
        "critical_value": verdict.critical_value,
        "p_value": verdict.p_value,
        "p_is_bound": verdict.p_is_bound if verdict.p_value is not None else None,
        **{f"attack_success_rate.{name}": rate for name, rate in _rates(evidence).items()},
        "seed": outcome.result.config.seed,
        "model_digest": evidence.artifact and evidence.artifact.digest,
        "samples_digest": evidence.samples and evidence.samples.digest,
        "run_url": outcome.run_url,
        **{f"version.{name}": number for name, number in outcome.result.environment.items()},
    }
    return {name: one_line(str(value)) for name, value in properties.items() if value is not None}
