# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""The API of a seed cluster and of its hub, as the generation of a seed image needs them."""

from __future__ import annotations

import base64
import typing as t
from dataclasses import dataclass

from ansible_collections.sno.image_upgrade.plugins.module_utils import _seedgen
from ansible_collections.sno.image_upgrade.plugins.module_utils._cluster import IBU_COLLECTION, VERSION_PATH
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended
from ansible_collections.sno.image_upgrade.plugins.module_utils._health import conditions
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import ABSENT, Generation, generation_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import HubView, disabled_addons
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_read import read_record, read_survey
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, NotThere, Result, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_checks import HostFacts, SeedSurvey
    from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import Leftover
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

COLLECTION = "/apis/lca.openshift.io/v1/seedgenerators"
PATH = f"{COLLECTION}/{_seedgen.NAME}"
_SECRETS = f"/api/v1/namespaces/{_seedgen.NAMESPACE}/secrets"
_SECRET = f"{_SECRETS}/{_seedgen.SECRET}"
_PULL_SECRET = "/api/v1/namespaces/openshift-config/secrets/pull-secret"
_MANAGED_CLUSTERS = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
_ADDON_CONFIGS = "/apis/agent.open-cluster-management.io/v1/namespaces/{0}/klusterletaddonconfigs/{0}"


@dataclass(frozen=True)
class Look:
    """One look at a cluster. ``vacant``: the agent is there, but neither SeedGenerator nor ImageBasedUpgrade is."""

    generation: Generation
    version: str | None = None
    vacant: bool = False


class SeedCluster:
    """What is asked of a seed cluster, and what is written to it. Raises Unanswered, NotThere and Refused."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._down = False

    def look(self) -> Look:
        """A fresh read."""
        try:
            if self._down:
                self._session.probe()
            found = self._look()
        except Unanswered as error:
            self._down = error.kind == "connect"
            self._session.close()
            raise
        self._down = False
        return found

    def _look(self) -> Look:
        status = self._session.get(VERSION_PATH).document.get("status") or {}
        version = (status.get("desired") or {}).get("version")
        try:
            found = generation_of(self._session.get(PATH).document)
        except NotThere:
            return Look(ABSENT, version, self._has_no_upgrade())
        return Look(found, version)

    def _has_no_upgrade(self) -> bool:
        try:
            return not self._session.list(IBU_COLLECTION)
        except NotThere:
            # The API itself is not there: the agent was never installed.
            return False

    def changes(self, since: Generation, seconds: int) -> t.Iterator[Generation]:
        """Later states of the SeedGenerator, until ``seconds`` are over. A deletion raises NotThere."""
        events = self._session.watch(
            COLLECTION,
            resource_version=since.resource_version or "0",
            seconds=seconds,
            fieldSelector=f"metadata.name={_seedgen.NAME}",
        )
        for event in events:
            if event["type"] == "DELETED":
                raise NotThere("the SeedGenerator was deleted")
            yield generation_of(event["object"])

    def survey(self, host: HostFacts | None) -> SeedSurvey:
        """Everything that decides whether it can become a seed."""
        return read_survey(self._session, host)

    def record(self, recert_image: str | None) -> SeedFacts:
        """What targets will be compared with."""
        return read_record(self._session, recert_image)

    def create(self, image: str, recert_image: str | None) -> Generation:
        """Ask for the seed image."""
        spec = {"seedImage": image, **({"recertImage": recert_image} if recert_image else {})}
        body = {
            "apiVersion": "lca.openshift.io/v1",
            "kind": "SeedGenerator",
            "metadata": {"name": _seedgen.NAME},
            "spec": spec,
        }
        return generation_of(self._session.create(COLLECTION, body).document)

    def forget(self, found: Generation) -> None:
        """Delete a SeedGenerator that is over."""
        self._delete(PATH, found.uid)

    def put_auth(self, text: str) -> bool:
        """Bring Secret seedgen about; whether anything had to be written. Raises Ended: nobody's credential is lost."""
        data = {_seedgen.SECRET_KEY: base64.b64encode(text.encode()).decode()}
        try:
            there = self._session.get(_SECRET).document
        except NotThere:
            meta = {"name": _seedgen.SECRET, "namespace": _seedgen.NAMESPACE, "labels": dict(_seedgen.OURS)}
            body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta, "data": data}
            self._session.create(_SECRETS, body)
            return True
        if _seedgen.would_lose(there, text):
            # It was not there when everything was looked at.
            raise Ended(Result.REFUSED, _seedgen.NOT_OURS, _seedgen.NOT_OURS_REMEDY)
        if (there.get("data") or {}).get(_seedgen.SECRET_KEY) == data[_seedgen.SECRET_KEY]:
            return False
        # Exactly the one that was looked at.
        seen = {"resourceVersion": str((there.get("metadata") or {}).get("resourceVersion") or "")}
        self._session.merge_patch(_SECRET, {"metadata": seen, "data": data})
        return True

    def drop_auth(self) -> bool:
        """Delete Secret seedgen where it was made here: a credential that may push has no business to stay."""
        try:
            there = self._session.get(_SECRET).document
        except NotThere:
            return False
        if not _seedgen.is_ours(there):
            return False
        self._delete(_SECRET, str((there.get("metadata") or {}).get("uid") or ""))
        return True

    def pull_secret(self) -> str:
        """The cluster's pull secret in plain text; empty where there is none."""
        try:
            return _seedgen.pull_secret_text(self._session.get(_PULL_SECRET).document)
        except NotThere:
            return ""

    def put_pull_secret(self, text: str, *, dry_run: bool = False) -> None:
        """Put a pull secret back. The machine configuration takes it to the node."""
        body = {"data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}
        self._session.merge_patch(_PULL_SECRET, body, **({"dryRun": "All"} if dry_run else {}))

    def busy_pools(self) -> list[str]:
        """The MachineConfigPools that are not up to date; an API that is busy itself counts as one."""
        try:
            pools = self._session.list("/apis/machineconfiguration.openshift.io/v1/machineconfigpools")
        except Unanswered as error:
            return [f"(no answer: {error})"]
        return [str(one["metadata"]["name"]) for one in pools if conditions(one).get("Updated") == "False"]

    def seed_auth(self) -> str:
        """What Secret seedgen holds; empty where it is not there."""
        try:
            return _seedgen.seed_auth(self._session.get(_SECRET).document)
        except NotThere:
            return ""

    def auth_of(self, namespace: str, name: str) -> str:
        """The docker credentials in another Secret. Raises NotThere."""
        return _seedgen.pull_secret_text(self._session.get(f"/api/v1/namespaces/{namespace}/secrets/{name}").document)

    def remove(self, leftover: Leftover) -> None:
        """Ask for one object to be deleted: the very one that was shown."""
        self._delete(leftover.path, leftover.uid)

    def is_there(self, leftover: Leftover) -> bool:
        """Whether an object is still there; another one of its name counts, too."""
        try:
            self._session.get(leftover.path)
        except NotThere:
            return False
        return True

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def _delete(self, path: str, uid: str) -> None:
        try:
            self._session.delete(path, uid or None)
        except NotThere:
            return


class SeedHub:
    """The hub's side of one cluster. Raises IbuError."""

    def __init__(self, open_hub: t.Callable[[], Session], managed_cluster: str) -> None:
        self._open = open_hub
        self._name = managed_cluster

    def read(self) -> HubView:
        """The cluster as the hub sees it; a hub that cannot be asked is a fact, too."""
        try:
            session = self._open()
        except IbuError as error:
            return HubView(asked=True, problem=str(error))
        try:
            return HubView(
                asked=True,
                managed=_if_there(session, f"{_MANAGED_CLUSTERS}/{self._name}"),
                addon_config=_if_there(session, _ADDON_CONFIGS.format(self._name)),
            )
        except IbuError as error:
            return HubView(asked=True, problem=str(error))
        finally:
            session.close()

    def let_go(self, seen: HubView) -> None:
        """Switch the optional add-ons off and delete the ManagedCluster: the very one that was shown."""
        session = self._open()
        try:
            if seen.addon_config and (off := disabled_addons(seen.addon_config)):
                session.merge_patch(_ADDON_CONFIGS.format(self._name), off)
            if seen.managed is not None:
                uid = str((seen.managed.get("metadata") or {}).get("uid") or "")
                session.delete(f"{_MANAGED_CLUSTERS}/{self._name}", uid or None)
        except NotThere:
            return
        finally:
            session.close()


def _if_there(session: Session, path: str) -> dict[str, t.Any] | None:
    try:
        return session.get(path).document
    except NotThere:
        return None
