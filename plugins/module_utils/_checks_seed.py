# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""Whether the seed image fits at all: its version, its format, and what cannot be compared without knowing it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Judge
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._types import SeedImage

# The agent's own constant: it takes seed images of this format only.
FORMAT_VERSION = "4"

_LABELS = (
    "let the controller read the labels of the image (ibu_seed_lookup=auto, ibu_seed_registry_auth_file), or give "
    "the facts with ibu_seed_facts=FILE"
)
_RECORD = "give the record that was made on the seed cluster with ibu_seed_facts=FILE"
# Facts that no label of the image has.
_ONLY_IN_RECORDS = ("cpus", "performance_profile", "machine_configs", "operators", "cgroup_version", "kernel_arguments")
_REBUILD = "build a seed image with a Lifecycle Agent of the same release, or choose another one"


NOT_ASKED = "the registry was not asked (ibu_seed_lookup=never)"


@dataclass(frozen=True)
class Seed:
    """What is known of the seed image. ``why`` says why its labels are not known, empty where they are.

    ``problem`` is something that is known to be wrong with the image, and ``remedy`` what to do about that.
    ``hint`` is where else one cluster says that the image may be.
    """

    facts: SeedFacts
    why: str = ""
    problem: str = ""
    remedy: str = ""
    hint: str = ""

    @property
    def was_sought_in_vain(self) -> bool:
        """Whether the registry was asked, and did not tell."""
        return bool(self.why) and self.why != NOT_ASKED

    def missing(self, judge: Judge, what: str) -> None:
        """Note that a fact of the image's labels is not known."""
        why = self.why or "the seed image's labels do not say"
        judge.unknown(what, why, self._hinted(_LABELS), check="seed-facts")

    def report(self, judge: Judge) -> None:
        """Note what is wrong with the image, if anything is."""
        if self.problem:
            judge.blocked("seed-image", self.problem, self._hinted(self.remedy), source="registry of the seed image")

    def _hinted(self, remedy: str) -> str:
        return f"{self.hint}; or {remedy}" if self.hint else remedy

    def missing_record(self, judge: Judge, what: str) -> None:
        """Note that a fact is not known that only the seed's record can say."""
        given = any(getattr(self.facts, name) is not None for name in _ONLY_IN_RECORDS)
        why = "the seed's record does not say" if given else "the seed's record was not given"
        judge.unknown(what, why, _RECORD, check="seed-record")


def with_hint(seed: Seed, image: str, mirrors: t.Sequence[t.Mapping[str, t.Any]]) -> Seed:
    """The seed with the mirrors of its image that a cluster has, and that were not asked."""
    if not seed.was_sought_in_vain:
        return seed
    try:
        reference = _image_ref.parse(image)
        places = _image_ref.candidates(reference, _image_ref.declared_mirrors(mirrors))
    except InvalidOption:
        return seed
    new = [f"{one.registry}/{one.repository}" for one in places if one != reference and str(one) not in seed.why]
    if not new:
        return seed
    return replace(seed, hint=f"name the cluster's own mirrors of it ({', '.join(new)}) in ibu_seed_registry_mirrors")


def check_seed(judge: Judge, seed: Seed, wanted: SeedImage | None) -> None:
    """Version and format of the image itself."""
    facts = seed.facts
    seed.report(judge)
    if facts.version is None:
        seed.missing(judge, "the release inside the seed image")
    elif wanted and facts.version != wanted.version:
        judge.blocked(
            "seed-version",
            f"version specified in seed image ({facts.version}) differs from version in spec ({wanted.version})",
            "give the version that is inside the image in ibu_seed_image_ref.version",
            seen=facts.version,
            expected=wanted.version,
            source="label com.openshift.lifecycle-agent.seed_cluster_info of the seed image",
        )
    if facts.format_version is None:
        seed.missing(judge, "the format of the seed image")
    elif not facts.format_version:
        judge.blocked(
            "seed-format",
            "seed image is missing the com.openshift.lifecycle-agent.seed_format_version label",
            "check that it is a seed image; " + _REBUILD,
            source="labels of the seed image",
        )
    elif str(facts.format_version) != FORMAT_VERSION:
        judge.blocked(
            "seed-format",
            f"seed image format version mismatch: expected {FORMAT_VERSION}, got {facts.format_version}",
            _REBUILD,
            seen=str(facts.format_version),
            expected=FORMAT_VERSION,
            source="label com.openshift.lifecycle-agent.seed_format_version of the seed image",
        )
