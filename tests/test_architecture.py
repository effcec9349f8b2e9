"""The doors between the rooms of the house: who may import whom, and who may build a key."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

BASE = Path(__file__).parents[1]
APPS = ("sessions_app", "analytics_app", "socratic_site")
HEAVY = ("pandas", "scipy", "statsmodels", "altair", "numpy", "pyarrow")
PURE = ("store/keys", "flow", "scoring", "survey_fields")
FORBIDDEN_NAMES = ("services", "selectors", "utils", "helpers", "signals", "repositories")


def files(folder: str) -> list[Path]:
    return sorted((BASE / folder).rglob("*.py"))


ALL = [path for app in APPS for path in files(app)]


def named(path: Path) -> str:
    return path.relative_to(BASE).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def package_of(path: Path) -> list[str]:
    return list(path.relative_to(BASE).parent.parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, by its whole name; `from a import b` gives a.b too."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package_of(path)[: len(package_of(path)) - node.level + 1] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def offences(paths: list[Path], *packages: str) -> list[str]:
    return [
        f"{named(path)} imports {module}"
        for path in paths
        for module in sorted(imports(path))
        if within(module, *packages)
    ]


# --- the scan itself


def test_the_scan_sees_relative_and_inner_imports() -> None:
    running = imports(BASE / "sessions_app/domain/session/assessment.py")
    assert {
        "sessions_app.domain.store.keys",
        "sessions_app.domain.store.transactions",
        "pynamodb.expressions.update",
    } <= running
    assert "sessions_app.domain.tutor.anthropic" in imports(BASE / "sessions_app/study.py")
    assert "anthropic" in imports(BASE / "sessions_app/domain/tutor/anthropic.py")
    assert len(ALL) > 40


# --- doors


def test_the_domain_knows_no_django_no_settings_and_no_data_frames() -> None:
    domain = files("sessions_app/domain")
    assert offences(domain, "django", "socratic_site", *HEAVY) == []


def test_the_domain_knows_nothing_of_the_apps_around_it() -> None:
    outside = [
        each
        for each in offences(files("sessions_app/domain"), "sessions_app", "analytics_app")
        if not re.search(r"imports sessions_app(\.domain\b.*)?$", each)
    ]
    assert outside == []


FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sessions_app/domain": (
        ("flow", "realms", "scoring", "store", "survey_fields"),
        ("allocation", "content", "models"),
        ("audit", "scores", "tutor"),
        ("analysis_plan", "consent", "export_jobs", "study_settings"),
        ("session",),
        ("grading", "participants", "stream_worker"),
        ("adoption", "simulation"),
    ),
    "sessions_app": (
        ("csv_safe", "domain", "private_files", "qr"),
        ("dictionary", "forms", "paging", "study"),
        ("access", "question_worker"),
        ("apps", "context_processors", "pages", "presenters"),
        ("management", "templatetags", "views"),
        ("urls",),
    ),
    "analytics_app": (
        ("apps", "export", "inference", "records"),
        ("lake",),
        ("statistics",),
        ("charts", "streams"),
        ("dashboards", "management"),
        ("preload", "templatetags", "views"),
        ("urls",),
    ),
    "socratic_site": (
        ("accounts", "compression", "health", "healthcheck", "local", "security"),
        ("admin", "apps", "error_pages", "management", "production_checks", "urls"),
        ("settings", "wsgi"),
    ),
}
"""The rooms of each package, from the ground up: each imports from lower floors only, without circles."""


def room_of(module: str, package: str) -> str | None:
    rest = module.removeprefix(package.replace("/", ".") + ".")
    return None if rest == module else rest.split(".")[0]


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_imports_only_what_lies_below_it(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms}
    upward = []
    for path in files(package):
        own = room_of(named(path).removesuffix(".py").replace("/", "."), package)
        if own in floor:
            others = {room_of(module, package) for module in imports(path)} & floor.keys() - {own}
            upward += [f"{named(path)} imports {room}" for room in others if floor[room] >= floor[own]]
    assert upward == []


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_is_on_a_floor(package: str) -> None:
    folder = BASE / package
    rooms = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    assert rooms - {"__init__"} == {room for rooms in FLOORS[package] for room in rooms}


def test_no_app_imports_the_site() -> None:
    assert offences([*files("sessions_app"), *files("analytics_app")], "socratic_site") == []


def test_nothing_imports_tests_and_only_support_leans_on_the_apps_it_drives() -> None:
    """`support` is what tests and bench share; it drives the site, so it may import the apps."""
    for package in ("bench", "support", "infra", *APPS, "socratic_site"):
        assert offences(files(package), "tests") == []
    assert offences(files("support"), "bench", "analytics_app") == []


def test_sessions_never_import_analytics() -> None:
    assert offences(files("sessions_app"), "analytics_app") == []


@pytest.mark.parametrize("name", PURE)
def test_the_pure_modules_import_nothing_of_ours_but_keys(name: str) -> None:
    ours = [module for module in imports(BASE / f"sessions_app/domain/{name}.py") if within(module, *APPS)]
    assert set(ours) <= {"sessions_app.domain", "sessions_app.domain.store.keys"}


def test_the_keys_import_nothing_of_ours() -> None:
    assert offences([BASE / "sessions_app/domain/store/keys.py"], *APPS) == []


def test_the_sdk_is_imported_in_one_place() -> None:
    users = [named(path) for path in ALL if any(within(module, "anthropic") for module in imports(path))]
    assert users == ["sessions_app/domain/tutor/anthropic.py"]


def test_only_a_web_process_warms_up_its_charts() -> None:
    users = [named(path) for path in ALL if "analytics_app.preload" in imports(path)]
    assert users == ["socratic_site/wsgi.py"]


def test_data_frames_stay_out_of_the_session_pages() -> None:
    """`manage.py narrate` works on sound in its own process."""
    loaded_by_pages = [path for path in files("sessions_app") if path.name != "narrate.py"]
    assert offences(loaded_by_pages, *HEAVY) == []


def test_a_session_page_loads_neither_data_frames_nor_the_sdk() -> None:
    names = ", ".join(repr(name) for name in (*HEAVY[:4], "anthropic", "analytics_app.dashboards.analysis"))
    program = (
        "import django; django.setup(); import sessions_app.urls, sys; "
        f"print([name for name in ({names}) if name in sys.modules])"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        "SECRET_KEY": "x",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


# --- names


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [named(path) for path in ALL if {path.stem, path.parent.name} & set(FORBIDDEN_NAMES)]
    assert vague == []


# --- keys


def key_parts() -> set[str]:
    """The words before the hash sign in the keys, read out of keys.py itself."""
    text = (BASE / "sessions_app/domain/store/keys.py").read_text(encoding="utf-8")
    return set(re.findall(r'"([A-Z_]+)#', text)) | {"SEAL", "SHARD", "WORKER"}


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Every text in a file that is not a docstring, with its line; the fixed parts of f-strings too."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def test_the_key_parts_are_found() -> None:
    assert {"STUDENT", "SESSION", "CONDITION", "INTERVENTION", "ASSESSMENT", "STATS"} <= key_parts()


def test_no_key_is_built_outside_of_keys() -> None:
    parts = "|".join(sorted(key_parts()))
    key = re.compile(rf"\b(?:{parts})#")
    built = [
        f"{named(path)}:{line} {text!r}"
        for path in ALL
        if named(path) != "sessions_app/domain/store/keys.py"
        for line, text in literals(path)
        if key.search(text)
    ]
    assert built == []


def test_no_index_key_is_assigned_a_text_of_its_own() -> None:
    """`GSI1PK=...` and the like are given what keys.py built, an attribute, or a variable: never a text."""
    spelled = [
        f"{named(path)}:{node.value.lineno} {node.arg}"
        for path in ALL
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword)
        and node.arg
        and re.fullmatch(r"PK|SK|GSI\dPK|GSI\dSK", node.arg)
        and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp)
        and not (isinstance(node.value, ast.Constant) and node.value.value is None)
    ]
    assert spelled == []


# --- the audit log, to which things are only added


def calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """Every call of something's attribute: its line, the attribute's name, and the call."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr, node


def test_nothing_writes_past_the_models() -> None:
    """The models of the log refuse every write but the first (tests/domain/test_audit.py)."""
    past = re.compile(r"(put|update|delete)_item|(batch_)?write_item|transact_write_items|execute_statement")
    written = [f"{named(path)} {name}" for path in ALL for _, name, _ in calls(path) if past.match(name)]
    assert written == [
        "sessions_app/domain/participants/erasure.py delete_item"
    ]  # it refuses the log, see test_erasure


def test_where_the_log_is_known_nothing_is_written_in_batches() -> None:
    """A batch of PynamoDB does not ask the models."""
    knowing = [path for path in ALL if re.search(r"\bAudit(Entry|Seal)\b", path.read_text(encoding="utf-8"))]
    assert "sessions_app/domain/audit/seals.py" in map(named, knowing)
    assert [named(path) for path in knowing for _, name, _ in calls(path) if name == "batch_write"] == []


# --- decision records


def test_every_decision_record_has_a_number_of_its_own() -> None:
    records = sorted((BASE / "docs/decisions").glob("[0-9]*.md"))
    headings = [record.read_text(encoding="utf-8").split(".", 1)[0] for record in records]
    assert headings == [f"# {int(record.name[:4])}" for record in records]
    assert len(set(headings)) == len(records) > 30
