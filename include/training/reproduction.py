"""What a reproduction of a version found: equal, or the first difference and its cause, in words.

What belongs here: the verdict, and how it is told. What does not: building anything again
(``include.steps.reproduce_version``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.training.manifest import UNKNOWN, Provenance, TrainingSetManifest
from include.training.row_changes import RowChanges


@dataclass(frozen=True)
class Compared:
    """The sha256 of one thing: on record, as it is kept, and built again; None where there is none."""

    recorded: str | None
    kept: str | None = None
    rebuilt: str | None = None

    @property
    def is_reproduced(self) -> bool:
        """Whether what was built again is what is on record."""
        return self.rebuilt is not None and self.rebuilt == self.recorded


@dataclass(frozen=True)
class Circumstance:
    """What a version was made with or by, and what it would be made with today."""

    name: str
    then: str
    now: str

    def __str__(self) -> str:
        """Return it as words."""
        return f"{self.name} was {self.then}, is {self.now}"


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction of a version found.

    Attributes
    ----------
    model_id : str
    version : int
    set_id : str
    training_set, native, onnx : Compared
        The rows of the set, ``model.ubj`` and ``model.onnx``.
    environment : tuple of Circumstance
        What is not as it was when the version was made.
    differences : tuple of str
        What is not equal, in the order in which one follows from another, each with its cause; none where all is.
    notes : tuple of str
        What a reader should know, and what makes no difference.
    latest : RowChanges or None
        What became of the set's rows in the tables as they are today; None where it was not asked for, or can't be
        told.
    """

    model_id: str
    version: int
    set_id: str
    training_set: Compared
    native: Compared
    onnx: Compared
    environment: tuple[Circumstance, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    latest: RowChanges | None = None

    @property
    def equal(self) -> bool:
        """Whether set and model were built again to the bit, and are kept as they were registered."""
        return not self.differences

    def __str__(self) -> str:
        """Return the verdict in a sentence."""
        what = f"{self.model_id} version {self.version}, trained on {self.set_id}"
        if self.equal:
            return f"{what}: equal to the bit: the rows of the set, model.ubj and model.onnx"
        return f"{what}: not equal: {self.differences[0]}"


def compare_circumstances(
    manifest: TrainingSetManifest,
    provenance: Provenance,
    *,
    definitions: Mapping[str, str],
    libraries: Mapping[str, str],
) -> tuple[Circumstance, ...]:
    """Return what is not as it was when a set was made; what the manifest does not say is not compared.

    A commit or a lock that is not known, then or now, and a checkout with changes of its own count as another one.
    """
    then = manifest.provenance
    present = {name: f"sha256 {sha256:.12}" for name, sha256 in definitions.items()}
    found = [
        Circumstance("the code", _code(then), _code(provenance)),
        Circumstance("the lock of the libraries", then.lock_sha256, provenance.lock_sha256),
        *_known("the image", then.image_digest, provenance.image_digest),
        *(Circumstance(name, was, libraries.get(name, "absent")) for name, was in manifest.libraries.items()),
        *(
            Circumstance(name, f"sha256 {was:.12}", present.get(name, "absent"))
            for name, was in manifest.definitions.items()
        ),
    ]
    return tuple(each for each in found if each.then and (each.then != each.now or _is_vague(each.then)))


def tell_cause(environment: tuple[Circumstance, ...]) -> str:
    """Return what a difference in what was built again may come of."""
    if not environment:
        return (
            "nothing that is on record explains it: code, lock, libraries and definitions are as they were; what was "
            "recorded, or the machine, is not"
        )
    return f"not as it was: {'; '.join(map(str, environment))}"


def tell_difference(name: str, each: Compared, environment: tuple[Circumstance, ...], *, which: str = "") -> list[str]:
    """Return a sentence where what was built again is not what is on record, with `which` rows it is; else none."""
    if each.rebuilt is None or each.is_reproduced:
        return []
    what = f"{name} has sha256 {each.rebuilt:.12} when it is built again, and {each.recorded:.12} is on record"
    return [f"{what}{which}; {tell_cause(environment)}"]


def _known(name: str, then: str | None, now: str | None) -> list[Circumstance]:
    return [Circumstance(name, then, now)] if then is not None and now is not None else []


def _code(provenance: Provenance) -> str:
    commit = provenance.code_commit[:12]
    return f"{commit} with local changes" if provenance.code_changed else commit


def _is_vague(told: str) -> bool:
    return told == UNKNOWN or told.endswith("with local changes")
