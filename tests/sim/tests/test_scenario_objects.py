# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario says of the seed image and of single objects."""

from __future__ import annotations

import json

import pytest
from virtual import Site

from fleetsim.scenario import ScenarioError, load
from fleetsim.seedimage import FORMAT_LABEL, INFO_LABEL


def test_the_seed_image_fits_unless_the_scenario_says_otherwise() -> None:
    source = {
        "clusters": {"count": 2},
        "seed_image": {"has_fips": True},
        "clusters_extra": {"site-0002": {"seed_image": {"has_proxy": True, "format_version": None}}},
    }
    first, second = (plan.seed_image for plan in load(source).clusters)
    assert (first.has_fips, first.has_proxy, second.has_fips, second.has_proxy) == (True, False, True, True)
    labels = first.labels("4.17.3")
    assert labels[FORMAT_LABEL] == "4"
    assert json.loads(labels[INFO_LABEL])["seed_cluster_ocp_version"] == "4.17.3"
    assert FORMAT_LABEL not in second.labels("4.17.3")


@pytest.mark.parametrize("wrong", [{"seed_image": {"proxy": True}}, {"objects": [{"kind": "Pod"}]}])
def test_what_is_misspelt_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ScenarioError):
        load(wrong)


async def test_objects_are_added_merged_and_taken_away() -> None:
    added = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "app"}, "data": {"a": "b"}}
    proxy = {"apiVersion": "config.openshift.io/v1", "kind": "Proxy", "metadata": {"name": "cluster"}}
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "oadp-cm", "namespace": "openshift-adp"}}
    objects = [added, {**proxy, "spec": {"httpProxy": "http://proxy.example.com"}}]
    async with Site(objects=objects, without=[gone]) as s:
        assert (s.get("configmaps", "x", "app") or {})["data"] == {"a": "b"}
        found = s.get("proxies.config.openshift.io", "cluster")
        assert found
        assert found["spec"]["httpProxy"] == "http://proxy.example.com"
        assert "trustedCA" in found["spec"]
        assert s.get("configmaps", "oadp-cm", "openshift-adp") is None
        assert s.get("configmaps", "site-extra", "openshift-lifecycle-agent")
