"""Checks a content package and says in one screen what it holds, or everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.domain.content.package import ContentFaults, Package, load


class Command(BaseCommand):
    help = "Check a content package: every fault with its file and field, or a summary."
    # Content is checked where there may be no database and no table yet.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the package")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            package = load(folder)
        except ContentFaults as found:
            self.stdout.write(str(found))
            count = len(found.faults)
            raise CommandError(f"{count} fault{'s' * (count != 1)} in {folder}") from None
        self.stdout.write("\n".join(summary(package)))


def summary(package: Package) -> Iterator[str]:
    yield f"{package.content_id} {package.content_version}: {package.topic}, {package.duration_seconds} s"
    yield f"Segments ({sum(each.word_count for each in package.segments)} words)"
    for each in package.segments:
        yield f"  {each.segment_id}  {each.duration_seconds} s  {each.word_count} words  {each.title}"
    points = sum(item.points for item in package.assessment)
    yield f"Assessment {package.assessment_version}: {len(package.assessment)} items, {points} points"
    for kind, number in Counter(item.question_type for item in package.assessment).items():
        yield f"  {number} {kind.replace('_', ' ')}"
    fields = sum(len(group.fields) for group in package.survey)
    yield f"Survey {package.survey_version}: {len(package.survey)} groups, {fields} fields"
    yield "Locations"
    for place in package.locations:
        fence = f", {place.radius_meters:g} m" if place.radius_meters else ""
        yield f"  {place.code}  {place.key}  {place.method}{fence}  {place.name}"
    yield f"Contacts for students: {len(package.contacts)}"
    yield "Forms"
    for form in package.forms:
        yield f"  {form.kind}  {form.form_id} {form.version}  {form.sha256[:12]}"
    yield from _open_points(package)


def _open_points(package: Package) -> Iterator[str]:
    review = package.review
    if not (review.reviewed and review.forms_approved) or review.locations_to_set or review.contacts_to_set:
        yield f"Before a study: {review.note}"
