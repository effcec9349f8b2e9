"""The zip that the template's functions run: our modules that they import, and the packages these need.

Nothing is fetched: packages are copied out of the running environment, file by file, so the same commit and
the same environment give the same bytes. All of them are pure Python and run on either architecture. Should
one ever hold compiled code, this refuses and says how to fetch it for Lambda.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from io import BytesIO
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ENTRIES = ("analytics_app.streams.dispatch", "analytics_app.lake.write")
WHOLE = ("sessions_app/domain/models",)
"""Folders that are looked through at run time: the models are found by their modules."""
NEEDED = ("boto3", "pynamodb")
SERVICES = frozenset({"dynamodb", "dynamodbstreams", "s3", "sts"})
"""Of the four hundred that botocore describes."""
LIMIT = 50 * 1024 * 1024
COMPILED = (".so", ".pyd", ".dylib")
EPOCH = (1980, 1, 1, 0, 0, 0)


class CannotBuild(Exception):
    """The message says what is in the way and what to do."""


# --- ours


def modules(entries: Iterable[str] = ENTRIES) -> set[str]:
    """Files of ours that the entries import, anywhere in them, as paths below the root."""
    found: set[str] = set()
    waiting = [*entries, *(_dotted(path) for folder in WHOLE for path in (ROOT / folder).glob("*.py"))]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or (told := path.relative_to(ROOT).as_posix()) in found:
            continue
        found.add(told)
        package, _, _ = name.rpartition(".")
        waiting += [package, *_imports(path)]
    if missing := [entry for entry in entries if _file(entry) is None]:
        raise CannotBuild(f"there is no module {', '.join(missing)}")
    return found


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _file(name: str) -> Path | None:
    """Of a module of ours; None for everything else."""
    base = ROOT.joinpath(*name.split(".")) if name else ROOT
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if name and path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


# --- others'


def distributions(needed: Iterable[str] = NEEDED) -> dict[str, metadata.Distribution]:
    """Those needed and all that they need themselves, as pinned. Raises CannotBuild."""
    pinned = _pinned()
    found: dict[str, metadata.Distribution] = {}
    waiting = list(needed)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise CannotBuild(f"{name} is not installed: run `make run` or `make check` once") from None
        if found[name].version != pinned.get(name):
            raise CannotBuild(
                f"{name} is installed as {found[name].version}, constraints.txt says {pinned.get(name)}"
            )
        requirements = map(Requirement, found[name].requires or ())
        waiting += [each.name for each in requirements if each.marker is None or each.marker.evaluate()]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line)
    return {_normal(name): version for name, version in pins}


def _installed(name: str, distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    for file in distribution.files or ():
        if not _is_wanted(PurePosixPath(file.as_posix())):
            continue
        if file.suffix in COMPILED:
            raise CannotBuild(
                f"{name} holds compiled code ({file}). Fetch it for Lambda into a folder of its own with "
                f"`pip download --platform manylinux2014_aarch64 --python-version 3.12 --only-binary :all: "
                f"--no-deps {name}=={distribution.version}` and unpack the wheel into the zip."
            )
        yield file.as_posix(), file.locate().read_bytes()  # type: ignore[attr-defined]


def _is_wanted(path: PurePosixPath) -> bool:
    parts = path.parts
    if ".." in parts or "__pycache__" in parts or path.suffix == ".pyc":
        return False
    if parts[0].endswith(".dist-info"):
        return parts[-1] == "METADATA" or "licen" in path.as_posix().lower() or parts[-1] == "NOTICE"
    if parts[:2] in (("botocore", "data"), ("boto3", "data")) and len(parts) > 3:
        return parts[2] in SERVICES
    return not (parts[0] == "boto3" and "examples" in parts)


# --- the zip


def contents() -> dict[str, bytes]:
    """Every file by its name in the zip. Raises CannotBuild."""
    files = {name: (ROOT / name).read_bytes() for name in modules()}
    for name, distribution in distributions().items():
        files.update(_installed(name, distribution))
    return files


def packed(files: dict[str, bytes]) -> bytes:
    """Equal files give equal bytes: sorted, without times and owners. Raises CannotBuild."""
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    if len(whole.getvalue()) > LIMIT:
        raise CannotBuild(f"the zip has {len(whole.getvalue())} bytes, Lambda takes {LIMIT}")
    return whole.getvalue()


def build(out: Path) -> Path:
    """The zip, named by its digest, so that another content is another key. Raises CannotBuild."""
    data = packed(contents())
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"socratic-{hashlib.sha256(data).hexdigest()[:16]}.zip"
    temporary = path.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="infra/build_lambda", description="Makes the functions' zip.")
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "lambda", metavar="DIR")
    try:
        path = build(parser.parse_args().out)
    except (CannotBuild, OSError) as error:
        print(f"Nothing was made: {error}", file=sys.stderr)
        return 1
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
