"""Files that nobody but their owner can read, and random secrets kept in them. Imports no Django."""

import os
import secrets
import string
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step; nobody but its owner can read it, at no moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def kept_secret(path: Path, *, length: int) -> str:
    """A random alphanumeric secret, made at the first call and the same ever after."""
    if not path.exists():
        alphabet = string.ascii_letters + string.digits
        write_private(path, "".join(secrets.choice(alphabet) for _ in range(length)) + "\n")
    return path.read_text(encoding="utf-8").strip()
