"""The template says what the code needs, neither more nor less; what could not be tried is listed by name."""

from __future__ import annotations

import json
import subprocess
import sys
import types
import warnings
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from analytics_app.lake import tables as lake
from infra import lake_tables, lambda_package
from sessions_app.domain.store import table as tables
from tests.infra.stack import GIVEN, TEMPLATE, Stack, accepts, load

BILLINGS = ("PAY_PER_REQUEST", "PROVISIONED")


@pytest.fixture(scope="module", params=BILLINGS)
def stack(request: pytest.FixtureRequest) -> Stack:
    return Stack(BillingMode=request.param)


# --- as cfn-lint reads it


def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    """Its rules lie in the package; nobody answers where it would look for newer ones."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **nowhere},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


# --- the table


def test_the_table_is_the_one_that_the_code_makes(stack: Stack) -> None:
    made = stack.properties("Table")
    wanted = tables.definition("SocraticBenchmarks", made["BillingMode"])
    described = {**made, "StreamSpecification": {"StreamEnabled": True, **made["StreamSpecification"]}}
    assert tables.differences(described, wanted) == []
    assert described.get("ProvisionedThroughput") == wanted.get("ProvisionedThroughput")
    assert described["GlobalSecondaryIndexes"] == wanted["GlobalSecondaryIndexes"]


def test_the_table_is_backed_up_tagged_and_outlives_the_stack(stack: Stack) -> None:
    made, whole = stack.properties("Table"), stack.resources["Table"]
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert {tag["Key"]: tag["Value"] for tag in made["Tags"]} == {
        "Project": "SocraticBenchmarks",
        "Environment": "production",
    }
    assert made["DeletionProtectionEnabled"] is True
    assert (whole["DeletionPolicy"], whole["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_provisioned_capacity_scales_as_the_schema_says() -> None:
    provisioned = Stack(BillingMode="PROVISIONED")
    targets = provisioned.of_type("ApplicationAutoScaling::ScalableTarget")
    parts = ["table/SocraticBenchmarks", *(f"table/SocraticBenchmarks/index/{i}" for i in tables.INDEXES)]
    # the name of the table comes from the table itself, which is therefore made first
    named = {
        each["ResourceId"].replace("table/Table", "table/SocraticBenchmarks") for each in targets.values()
    }
    assert named == set(parts)
    assert len(targets) == 12
    assert {(each["MinCapacity"], each["MaxCapacity"]) for each in targets.values()} == {(5, 100)}
    for name, each in targets.items():
        kind, what = (
            ("index" if "index" in each["ResourceId"] else "table"),
            ("Read" if "Read" in name else "Write"),
        )
        assert each["ScalableDimension"] == f"dynamodb:{kind}:{what}CapacityUnits"
    policies = provisioned.of_type("ApplicationAutoScaling::ScalingPolicy")
    assert {each["ScalingTargetId"] for each in policies.values()} == set(targets)
    for name, each in policies.items():
        tracked = each["TargetTrackingScalingPolicyConfiguration"]
        assert tracked["TargetValue"] == 70
        metric = tracked["PredefinedMetricSpecification"]["PredefinedMetricType"]
        assert metric == f"DynamoDB{'Read' if 'Read' in name else 'Write'}CapacityUtilization"


def test_on_demand_has_nothing_to_scale() -> None:
    assert Stack().of_type("ApplicationAutoScaling::ScalableTarget") == {}


def test_a_restored_table_is_served_and_the_old_one_left_alone() -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/Restored/stream/2026-11-24T10:00:00.000"
    restored = Stack(TableName="Restored", RestoredStreamArn=arn, BillingMode="PROVISIONED")
    assert "Table" not in restored.resources
    sources = restored.of_type("Lambda::EventSourceMapping").values()
    assert {each["EventSourceArn"] for each in sources} == {arn}
    assert restored.properties("StreamFunction")["Environment"]["Variables"]["SOCRATIC_TABLE"] == "Restored"
    targets = restored.of_type("ApplicationAutoScaling::ScalableTarget").values()
    assert all(each["ResourceId"].startswith("table/Restored") for each in targets)


# --- what follows the stream


def test_every_handler_is_in_the_package(stack: Stack) -> None:
    packed = lambda_package.modules()
    for function in stack.of_type("Lambda::Function").values():
        module, _, name = function["Handler"].rpartition(".")
        path = f"{module.replace('.', '/')}.py"
        assert path in packed
        assert f"def {name}(" in (lambda_package.ROOT / path).read_text(encoding="utf-8")


def test_a_failing_record_holds_up_nothing_and_is_not_lost(stack: Stack) -> None:
    sources = stack.of_type("Lambda::EventSourceMapping")
    assert {each["FunctionName"] for each in sources.values()} == {"StreamFunction", "LakeFunction"}
    for each in sources.values():
        assert each["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert each["BisectBatchOnFunctionError"] is True
        assert each["StartingPosition"] == "TRIM_HORIZON"
        assert 0 < each["MaximumRetryAttempts"] <= 10_000
        assert each["DestinationConfig"] == {"OnFailure": {"Destination": "arn:of:DeadLetters"}}
    assert stack.properties("DeadLetters")["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_functions_find_table_lake_and_key(stack: Stack) -> None:
    variables = {
        name: each["Environment"]["Variables"] for name, each in stack.of_type("Lambda::Function").items()
    }
    assert variables["StreamFunction"]["SOCRATIC_TABLE"] == "SocraticBenchmarks"
    assert variables["SweepFunction"]["SOCRATIC_TABLE"] == "SocraticBenchmarks"
    for name in ("StreamFunction", "SweepFunction"):
        assert variables[name]["AUDIT_SEAL_KEY"] == "{{resolve:secretsmanager:SealKey}}"
        assert variables[name]["AUDIT_HEAD_URL"] == "s3://HeadBucket/heads"
    assert variables["LakeFunction"] == {
        "LAKE_URL": "s3://LakeBucket/lake",
        "EXPORT_KEY": "{{resolve:secretsmanager:ExportKey}}",
    }


# --- buckets and alarms


@pytest.mark.parametrize("name", ["LakeBucket", "ExportBucket", "HeadBucket"])
def test_buckets_are_encrypted_and_for_nobody_outside(name: str) -> None:
    stack = Stack()
    bucket, policy = stack.properties(name), stack.properties(f"{name}Policy")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (tls,) = policy["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert tls["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


def test_what_is_erased_from_the_lake_has_no_older_version() -> None:
    assert "VersioningConfiguration" not in Stack().properties("LakeBucket")


def test_published_heads_are_locked() -> None:
    bucket = Stack().properties("HeadBucket")
    lock = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (bucket["ObjectLockEnabled"], lock["Mode"], lock["Years"] >= 1) == (True, "COMPLIANCE", True)
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert Stack().properties("SweepSchedule")["ScheduleExpression"] == "rate(5 minutes)"  # within seals.LATE


def test_exports_go_after_their_days() -> None:
    rules = Stack(ExportDays="7").properties("ExportBucket")["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule] == ["7"]


def test_there_is_an_alarm_for_each_way_to_fail(stack: Stack) -> None:
    alarms = stack.of_type("CloudWatch::Alarm")
    simple = {
        (each["MetricName"], each["Dimensions"][0]["Value"])
        for each in alarms.values()
        if "MetricName" in each
    }
    assert simple == {
        ("IteratorAge", "StreamFunction"),
        ("IteratorAge", "LakeFunction"),
        ("Errors", "StreamFunction"),
        ("Errors", "LakeFunction"),
        ("Errors", "SweepFunction"),
        ("ApproximateNumberOfMessagesVisible", "queuename:of:DeadLetters"),
    }
    for what in ("Read", "Write"):
        metrics = [each["MetricStat"]["Metric"] for each in alarms[f"{what}Throttles"]["Metrics"][1:]]
        assert {metric["MetricName"] for metric in metrics} == {f"{what}ThrottleEvents"}
        parts = {metric["Dimensions"][-1]["Value"] for metric in metrics}
        assert parts == {"SocraticBenchmarks", *tables.INDEXES}
    assert {tuple(each["AlarmActions"]) for each in alarms.values()} == {(GIVEN["AlarmTopicArn"],)}
    told = stack.properties("Spend")["NotificationsWithSubscribers"]
    assert {each["Subscribers"][0]["Address"] for each in told} == {GIVEN["AlarmTopicArn"]}


# --- the lake


def test_the_lakes_tables_are_those_of_the_code() -> None:
    made = {
        each["TableInput"]["Name"]: each["TableInput"] for each in Stack().of_type("Glue::Table").values()
    }
    assert set(made) == set(lake.NAMES)
    for name, table in made.items():
        columns = [(each["Name"], each["Type"]) for each in table["StorageDescriptor"]["Columns"]]
        assert columns == [(each.name, lake.GLUE[each.kind]) for each in lake.schema(name)]
        assert table["PartitionKeys"] == [{"Name": "month", "Type": "string"}]
        projected = table["Parameters"]
        assert projected["storage.location.template"] == f"s3://LakeBucket/lake/{name}/month=${{month}}/"
        assert projected["projection.month.range"] == "2026-01,NOW"


def test_the_lakes_tables_in_the_template_are_as_they_would_be_written() -> None:
    stored = TEMPLATE.read_text(encoding="utf-8")
    assert lake_tables.renewed(stored) == stored, "run python -m infra.lake_tables"
    assert lake_tables.renewed(stored.replace("Name: segment,", "Name: part,")) == stored


# --- parameters out of range


def test_every_parameter_without_free_choice_says_what_it_may_be() -> None:
    for name, each in load()["Parameters"].items():
        bounded = "AllowedValues" in each or {"MinValue", "MaxValue"} <= each.keys()
        explained = "AllowedPattern" in each and "ConstraintDescription" in each
        assert bounded or explained, name


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("BillingMode", "FREE", "PROVISIONED"),
        ("TableName", "a b", "SocraticBenchmarks-2"),
        ("TableWriteCapacity", "0", "10"),
        ("IndexMostCapacity", "40001", "40000"),
        ("TargetUtilization", "91", "70"),
        ("RetryAttempts", "-1", "0"),
        ("ExportDays", "366", "30"),
        ("MonthlyBudget", "0", "50"),
        ("AlarmTopicArn", "alarms", GIVEN["AlarmTopicArn"]),
        ("CodeKey", "code.tar", GIVEN["CodeKey"]),
        ("LakeFirstMonth", "2026-13", "2026-12"),
        ("RestoredStreamArn", "Restored", ""),
    ],
)
def test_a_parameter_out_of_range_is_refused(name: str, bad: str, good: str) -> None:
    parameter = load()["Parameters"][name]
    assert (accepts(parameter, bad), accepts(parameter, good)) == (False, True)


def test_what_is_assumed_unless_said_is_in_range() -> None:
    for name, each in load()["Parameters"].items():
        assert "Default" not in each or accepts(each, str(each["Default"])), name


# --- deployed into moto


NOT_IN_MOTO = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
}
"""Kinds that moto's CloudFormation does not make: nothing but cfn-lint and the tests above has seen them."""
NOT_DONE_BY_MOTO = {
    "ExportBucket.PublicAccessBlockConfiguration",
    "LakeBucket.PublicAccessBlockConfiguration",
    "Table.PointInTimeRecoverySpecification",
}
"""Properties that moto takes and does not act on."""


@pytest.fixture(scope="module")
def moto_cloudformation() -> Iterator[None]:
    """moto's CloudFormation imports its API Gateway, and that a validator that nothing here ever calls."""
    names = ("", ".validation", ".validation.exceptions")
    stand_ins = {f"openapi_spec_validator{name}": types.ModuleType("unused") for name in names}
    unused: Any = type("Unused", (Exception,), {})
    for module in stand_ins.values():
        module.__dict__.update(validate_spec=unused, OpenAPIValidationError=unused, __path__=[])
    missing = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(missing)
    yield
    for name in missing:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def deployed(moto_cloudformation: None) -> Iterator[dict[str, Any]]:
    """Of a provisioned stack in moto: clients by service, and the resources that were made."""
    with mock_aws(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tried to parse .* but it's not supported by moto")
        clients = {name: client(name) for name in ("s3", "cloudformation", "dynamodb", "lambda", "iam")}
        put_code(clients["s3"])
        create(clients["cloudformation"], BillingMode="PROVISIONED")
        found = clients["cloudformation"].describe_stack_resources(StackName="study")["StackResources"]
        made = {each["LogicalResourceId"]: each for each in found if "LogicalResourceId" in each}
        yield {"made": made, **clients}


def client(name: str) -> Any:
    return boto3.client(name, region_name="us-east-1", config=Config(ignore_configured_endpoint_urls=True))


def put_code(s3: Any) -> None:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("empty.py", "")
    s3.create_bucket(Bucket=GIVEN["CodeBucket"])
    s3.put_object(Bucket=GIVEN["CodeBucket"], Key=GIVEN["CodeKey"], Body=whole.getvalue())


def create(cloudformation: Any, **parameters: str) -> None:
    given = {**GIVEN, **parameters}
    cloudformation.create_stack(
        StackName="study",
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )


def test_moto_makes_all_but_the_kinds_that_are_listed(deployed: dict[str, Any]) -> None:
    wanted = Stack(BillingMode="PROVISIONED").resources
    missing = {name: each["Type"] for name, each in wanted.items() if name not in deployed["made"]}
    assert set(missing.values()) == NOT_IN_MOTO
    assert {each["Type"] for name, each in wanted.items() if name not in missing}.isdisjoint(NOT_IN_MOTO)
    assert {each["ResourceStatus"] for each in deployed["made"].values()} == {"CREATE_COMPLETE"}


def test_the_deployed_table_is_the_one_that_the_code_expects(deployed: dict[str, Any]) -> None:
    described = tables.describe(deployed["dynamodb"], "SocraticBenchmarks")
    assert described is not None
    assert tables.differences(described, tables.definition("SocraticBenchmarks", "PROVISIONED")) == []


def test_what_moto_takes_and_does_not_do_is_known(deployed: dict[str, Any]) -> None:
    backups = deployed["dynamodb"].describe_continuous_backups(TableName="SocraticBenchmarks")
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    undone = {
        f"{name}.PublicAccessBlockConfiguration"
        for name in ("LakeBucket", "ExportBucket")
        if not is_closed(deployed["s3"], deployed["made"][name]["PhysicalResourceId"])
    }
    if recovery["PointInTimeRecoveryStatus"] != "ENABLED":
        undone.add("Table.PointInTimeRecoverySpecification")
    assert undone == NOT_DONE_BY_MOTO


def is_closed(s3: Any, bucket: str) -> bool:
    try:
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError:
        return False
    return set(block.values()) == {True}


def test_the_deployed_functions_follow_the_deployed_stream(deployed: dict[str, Any]) -> None:
    described = tables.describe(deployed["dynamodb"], "SocraticBenchmarks") or {}
    sources = deployed["lambda"].list_event_source_mappings()["EventSourceMappings"]
    assert {each["EventSourceArn"] for each in sources} == {described["LatestStreamArn"]}
    functions = {each["FunctionArn"].rpartition(":")[2] for each in sources}
    assert functions == {"study-stream", "study-lake"}


def test_the_deployed_web_role_carries_the_denial(deployed: dict[str, Any]) -> None:
    role = deployed["made"]["WebRole"]["PhysicalResourceId"]
    held = deployed["iam"].get_role_policy(RoleName=role, PolicyName="table")["PolicyDocument"]
    assert "AuditLogIsOnlyAddedTo" in json.dumps(held)


def test_the_deployed_buckets_are_encrypted(deployed: dict[str, Any]) -> None:
    for name in ("LakeBucket", "ExportBucket"):
        bucket = deployed["made"][name]["PhysicalResourceId"]
        told = deployed["s3"].get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        assert told["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
