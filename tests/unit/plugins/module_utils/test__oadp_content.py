# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of apply-label: as the agent takes them, and as they can be meant."""

from __future__ import annotations

import pytest

from ansible_collections.sno.image_upgrade.plugins.module_utils._oadp_content import target_by_parts, target_of


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ("apps/v1/deployments/app/web", "/apis/apps/v1/namespaces/app/deployments/web"),
        ("rbac.authorization.k8s.io/v1/clusterroles/reader", "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader"),
        ("v1/secrets/app/pull", "/api/v1/namespaces/app/secrets/pull"),
        ("v1/namespaces/app", "/api/v1/namespaces/app"),
        # Only exactly v1 is the core group.
        ("v1beta1/secrets/app/pull", "/apis/v1beta1/secrets/app/pull"),
    ],
)
def test_what_is_named(item: str, path: str) -> None:
    meant = target_of(item)
    assert meant is not None and meant.path == path
    assert target_by_parts(item) == meant


@pytest.mark.parametrize("item", ["", "v1", "v1/secrets", "a/v1/secrets/app/pull/more"])
def test_a_number_of_parts_that_names_nothing(item: str) -> None:
    assert target_of(item) is None
    assert target_by_parts(item) is None


@pytest.mark.parametrize("item", [" v1/secrets/app/pull", "v1/secrets//pull", "v1/secrets/app/pull ", "v1/a b/c"])
def test_the_agent_takes_what_cannot_be_meant_and_the_api_refuses_it(item: str) -> None:
    assert target_of(item) is None
    assert target_by_parts(item) is not None
