"""The lake that the settings name, for commands."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import CommandError

from ..export import profiles
from ..export.pseudonyms import Coder
from . import storage
from .tables import PROFILE
from .write import Lake


def lake() -> Lake:
    """Its codes are those of coded exports. Raises CommandError."""
    try:
        return Lake(storage.of_url(settings.LAKE_URL), Coder(profiles.study_key(), PROFILE))
    except storage.BadUrl as error:
        raise CommandError(str(error)) from None
