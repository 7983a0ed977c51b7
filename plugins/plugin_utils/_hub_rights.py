# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What an identity has to be allowed on the hub, asked before anything is written. Controller side only."""

from __future__ import annotations

import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Permission
from ansible_collections.sno.image_upgrade.plugins.module_utils._survey import may
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, Unanswered

if t.TYPE_CHECKING:
    from ansible_collections.sno.image_upgrade.plugins.module_utils._session import Session

_GROUPS = ("lcm.openshift.io", "imagebasedgroupupgrades")
_REMEDY = "give it the rights that docs/rbac lists, or name another identity in ibu_hub_kubeconfig"


def check_group_rights(session: Session, namespace: str, *, steps: int = 1) -> None:
    """Raise IbuError where a group upgrade could be begun, but not be followed or brought to its later steps.

    Nobody needs to be asked about the first write: that the hub refuses it costs nothing.
    """
    if may(session, Permission("*", "*", "*")):
        return
    needed = [
        Permission("get", *_GROUPS, namespace),
        Permission("list", *_GROUPS, namespace),
        Permission("list", "ran.openshift.io", "clustergroupupgrades", namespace),
        Permission("list", "cluster.open-cluster-management.io", "managedclusters"),
    ]
    if steps > 1:
        needed.append(Permission("patch", *_GROUPS, namespace))
    missing = [str(one) for one in needed if not may(session, one)]
    if missing:
        raise IbuError(
            f"the hub {session.url} does not allow it to {', '.join(missing)}, so nothing was changed; {_REMEDY}"
        )


def refusal_of(url: str, error: Unanswered) -> str:
    """What the hub's refusal or silence is for people, with the way out where a right is missing."""
    if error.kind == "rights":
        return f"the hub {url} does not allow it: {error}; {_REMEDY}"
    return f"the hub {url} does not answer as it should: {error}"
