# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not use it from elsewhere.

from __future__ import annotations


class ModuleDocFragment:
    """What the cleanup of OADP may do, on one cluster and on many."""

    DOCUMENTATION = r"""
options:
  location_timeout:
    description:
      - How long to wait until every backup location that holds data of this cluster is C(Available), in seconds.
      - While one is not, nothing is deleted. With V(0) the cleanup is refused at once.
    type: float
    default: 600
  request_timeout:
    description:
      - How long Velero may take for one DeleteBackupRequest, in seconds. The Lifecycle Agent waits 300.
      - A request that has moved on for as long is said to hang.
    type: float
    default: 300
  remove_stuck:
    description:
      - Whether to remove what hangs. A DeleteBackupRequest that hangs is deleted and made again. A Backup that was found in
        phase C(Deleting), and that Velero fails to delete once more, is deleted as an object, its Restores with it; the next
        sync of the bucket then shows whether it comes back. Finalizers of Velero's are taken off what was deleted and stays.
      - At the default what hangs is named, and the cleanup fails.
    type: bool
    default: false
  orphan_data:
    description:
      - Whether to give up what is in a bucket that is lost for good. Where a backup location is C(Unavailable) or is not
        there, the objects of this cluster are removed at once without Velero, and the data that stays behind is named.
      - It changes nothing where the location is C(Available). If the bucket ever answers again with its data, OADP makes the
        Backups again from it.
      - At the default a location that does not become C(Available) ends the cleanup before anything is deleted.
    type: bool
    default: false
  reclaim_policies:
    description:
      - Whether to set the reclaim policy of PersistentVolumes that the Lifecycle Agent has switched to C(Retain), and not back,
        to C(Delete) again, once everything else is gone.
      - A volume that is not bound keeps C(Retain), and a note says so; with C(Delete) its contents would be gone at once.
    type: bool
    default: true
  contact_timeout:
    description: How long a cluster may be silent, at first and in between, in seconds.
    type: float
    default: 60
"""
