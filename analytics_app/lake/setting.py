"""The lake that the settings name, for commands."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import CommandError

from ..export import profiles
from ..export.codes import Coder
from . import stores
from .tables import PROFILE
from .writing import Lake


def lake() -> Lake:
    """Its codes are those of coded exports. Raises CommandError."""
    try:
        return Lake(stores.of_url(settings.LAKE_URL), Coder(profiles.study_key(), PROFILE))
    except stores.BadUrl as fault:
        raise CommandError(str(fault)) from None
