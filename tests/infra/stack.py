"""The template as CloudFormation would read it with given parameters, and what IAM would say to a request."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "study",
}
GIVEN = {
    "CodeBucket": "code-of-the-study",
    "CodeKey": "socratic-0.zip",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
}
"""What has no default."""
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/SocraticBenchmarks"


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def load() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)
    return template


def accepts(parameter: Mapping[str, Any], value: str) -> bool:
    """As CloudFormation judges a parameter before it makes anything."""
    if "AllowedValues" in parameter:
        return value in [str(each) for each in parameter["AllowedValues"]]
    if "MinValue" in parameter:
        number = value.isascii() and value.isdigit()
        return number and parameter["MinValue"] <= int(value) <= parameter["MaxValue"]
    return re.fullmatch(parameter["AllowedPattern"], value) is not None


class Stack:
    """Resources with parameters, conditions and references filled in, without those whose condition fails.

    A reference to a resource becomes its logical name, its ARN `arn:of:<name>` (of a bucket as S3 has it).
    """

    def __init__(self, **parameters: str) -> None:
        self.template = load()
        defaults = {name: each.get("Default") for name, each in self.template["Parameters"].items()}
        self.values = {**PSEUDO, **defaults, **GIVEN, **parameters}
        self.conditions = {name: self._read(each) for name, each in self.template["Conditions"].items()}
        self.resources: dict[str, Any] = {
            name: self._read(each)
            for name, each in self.template["Resources"].items()
            if self.conditions.get(each.get("Condition"), True)
        }

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.resources[name].get("Properties", {})
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            name: each["Properties"]
            for name, each in self.resources.items()
            if each["Type"] == f"AWS::{kind}"
        }

    def _read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(self._read, value) if each is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, inner), *_ = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._filled(name, inner)
        found = {name: self._read(inner) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if inner is not None}

    def _filled(self, name: str, inner: Any) -> Any:
        if name == "Ref":
            return None if inner == "AWS::NoValue" else self.values.get(inner, inner)
        if name == "Fn::If":
            condition, yes, no = inner
            return self._read(yes if self.conditions[condition] else no)
        if name == "Fn::Equals":
            one, other = map(self._read, inner)
            return one == other
        if name == "Fn::GetAtt":
            return self._attribute(*inner)
        if name == "Fn::Sub":
            return self._substituted(*([inner] if isinstance(inner, str) else inner))
        if name == "Fn::Split":
            return str(self._read(inner[1])).split(inner[0])
        assert name == "Fn::Join", f"the tests do not know {name}"
        return str(inner[0]).join(self._read(inner[1]))

    def _attribute(self, resource: str, attribute: str) -> str:
        is_bucket = self.template["Resources"][resource]["Type"] == "AWS::S3::Bucket"
        return f"arn:aws:s3:::{resource}" if is_bucket else f"{attribute.lower()}:of:{resource}"

    def _substituted(self, text: str, names: Mapping[str, Any] | None = None) -> str:
        own = {name: self._read(value) for name, value in (names or {}).items()}

        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str({**self.values, **own}.get(name, name))

        return re.sub(r"\$\{([^}]+)\}", one, text)


# --- IAM


def statements(stack: Stack, role: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in stack.properties(role)["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def is_allowed(
    policy: Iterable[Mapping[str, Any]], action: str, resource: str, keys: Iterable[str] = ()
) -> bool:
    """As IAM decides: what a Deny meets is refused, else what an Allow meets is allowed, else refused.

    `keys` are the request's dynamodb:LeadingKeys. An operator that is not known here fails the test.
    """
    met = {
        statement["Effect"]
        for statement in policy
        if _meets(statement["Action"], action, ignore_case=True)
        and _meets(statement["Resource"], resource)
        and _holds(statement.get("Condition", {}), list(keys))
    }
    return "Allow" in met and "Deny" not in met


def _meets(patterns: str | list[str], value: str, *, ignore_case: bool = False) -> bool:
    if ignore_case:
        value = value.lower()
    each = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatchcase(value, pattern.lower() if ignore_case else pattern) for pattern in each)


def _holds(condition: Mapping[str, Any], keys: list[str]) -> bool:
    for operator, told in condition.items():
        ((name, wanted),) = told.items()
        assert name == "dynamodb:LeadingKeys"
        if operator == "ForAnyValue:StringLike":
            held = any(_meets(wanted, key) for key in keys)
        elif operator == "ForAllValues:StringLike":
            held = all(_meets(wanted, key) for key in keys)  # true without any key, as IAM has it
        else:
            assert (operator, wanted) == ("Null", "false"), f"the tests do not know {operator}"
            held = bool(keys)
        if not held:
            return False
    return True
