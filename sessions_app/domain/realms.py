"""Realms: students of the study, those made for training, and those of the simulation. Results do not mix."""

from __future__ import annotations

REALMS = ("real", "practice", "simulated")


def realm_of(realm: str | None, simulated: bool | None) -> str:
    """Items without a realm are of real students, those marked `simulated` of simulated ones."""
    return realm or ("simulated" if simulated else "real")
