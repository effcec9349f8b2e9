"""What an export is to hold, and where its file lies. Loads nothing heavy: pages ask it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from sessions_app.domain.models import ExportJob
from sessions_app.domain.store import keys

from . import profiles
from . import tables as export_tables
from .read import BadChoice, Chosen

EVERYTHING: Final = Chosen()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be exported. No levels mean all that the profile has."""

    profile: str = "coded"
    chosen: Chosen = EVERYTHING
    levels: tuple[str, ...] = ()
    labels: bool = True
    simulated: bool = False

    def check(self) -> None:
        """Raises BadChoice."""
        start, end = self.chosen.start, self.chosen.end
        if start and end and start > end:
            raise BadChoice("to", "The last day lies before the first.")
        known = {cell.code for cell in keys.CONDITIONS}
        for code in self.chosen.conditions:
            if code not in known:
                raise BadChoice("conditions", f"{code} is no condition; they are like L1-I1-D.")
        for level in self.levels:
            if level not in export_tables.LEVELS:
                raise BadChoice(
                    "levels", f"{level} is no table; there are {', '.join(export_tables.LEVELS)}."
                )
        if self.profile == "public" and self.chosen != EVERYTHING:
            raise BadChoice(
                "profile",
                "A public export is of the whole study, without days or conditions: of two that differ a "
                "little, the difference would tell of single participants.",
            )
        if self.levels and not self.tables:
            raise BadChoice("levels", f"A {self.profile} export has no table {', '.join(self.levels)}.")

    @property
    def tables(self) -> tuple[str, ...]:
        wanted = [level for level in export_tables.LEVELS if not self.levels or level in self.levels]
        return tuple(level for level in wanted if profiles.columns_of(level, self.profile))


# --- its file


def folder() -> Path:
    return Path(settings.EXPORT_DIR or Path(settings.VAR_DIR) / "exports")


def path_of(job: ExportJob) -> Path:
    """Where the job's file is, or would be."""
    return folder() / name_of(job)


def name_of(job: ExportJob) -> str:
    return f"{job.profile}-{keys.export_job(job.export_id)}.zip"
