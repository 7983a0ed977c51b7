# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the control node keeps of a seed cluster, and what a node answers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts, from_document
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_keep import Keep
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_node import SeedNode

IMAGE = "registry.example.com/seeds/sno:4.17.3"
FACTS = SeedFacts(version="4.17.3", cpus=8, operators={"ptp-operator": "4.17.0"})
DIGEST = f"sha256:{'1' * 64}"


def keep(folder: Path, *, host: str = "site", check: bool = False, record: str | None = None) -> Keep:
    found = Keep(str(folder / "seeds"), host, record, lambda: "2026-11-21T00:00:00Z", check=check)
    found.open()
    return found


def mode(path: str | Path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_a_run_is_under_way_from_the_moment_it_was_asked_for(tmp_path: Path) -> None:
    first = keep(tmp_path)
    first.begin(IMAGE, FACTS, DIGEST)
    assert not first.under_way
    first.asked("u-1")
    again = keep(tmp_path)
    assert again.under_way
    assert again.begun(IMAGE) == (FACTS, DIGEST)
    assert again.begun("another") == (None, "")
    again.end()
    assert not keep(tmp_path).under_way
    again.end()


def test_a_file_of_another_host_or_a_broken_one_counts_for_nothing(tmp_path: Path) -> None:
    keep(tmp_path, host="a/b").asked("u-1")
    assert not keep(tmp_path, host="a_b").under_way
    (tmp_path / "seeds" / "site.run.json").write_text("{")
    assert not keep(tmp_path).under_way
    assert keep(tmp_path).begun(IMAGE) == (None, "")


def test_credentials_are_for_this_user_alone(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    assert kept.copy_of_pull_secret == ""
    path = kept.keep_pull_secret('{"auths": {}}')
    assert kept.copy_of_pull_secret == path
    assert mode(path) == 0o600
    assert mode(tmp_path / "seeds") == 0o700


def test_the_record_can_be_read_by_everybody_and_back(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    assert kept.has_record(DIGEST) == ""
    path = kept.save_record(SeedFacts(**{**vars(FACTS), "digest": DIGEST}), IMAGE)
    document = yaml.safe_load(Path(path).read_text())
    assert document["metadata"] == {"image": IMAGE, "cluster": "site", "made": "2026-11-21T00:00:00Z"}
    assert from_document(document).cpus == 8
    assert mode(path) == 0o644
    assert kept.has_record(DIGEST) == path
    assert kept.has_record(f"sha256:{'2' * 64}") == ""
    assert kept.has_record(None) == path


def test_the_record_goes_where_it_is_wanted(tmp_path: Path) -> None:
    wanted = str(tmp_path / "record.yml")
    assert keep(tmp_path, record=wanted).save_record(FACTS, IMAGE) == wanted


def test_a_log_is_masked(tmp_path: Path) -> None:
    path = keep(tmp_path).save_log("pushing image: password=s3cr3t-w0rd\nunauthorized\n")
    text = Path(path).read_text()
    assert "s3cr3t-w0rd" not in text
    assert "unauthorized" in text
    assert mode(path) == 0o600


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    kept = keep(tmp_path, check=True)
    kept.begin(IMAGE, FACTS, "")
    kept.asked("u-1")
    kept.keep_pull_secret("{}")
    kept.save_record(FACTS, IMAGE)
    kept.end()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "seeds").write_text("a file")
    with pytest.raises(InvalidOption, match="folder"):
        keep(tmp_path)


def test_no_half_written_file_is_left(tmp_path: Path) -> None:
    kept = keep(tmp_path, record=str(tmp_path / "nowhere" / "record.yml"))
    with pytest.raises(InvalidOption):
        kept.save_record(FACTS, IMAGE)
    assert not list((tmp_path / "seeds").iterdir())


class TestNode:
    """A node that cannot be asked is a fact."""

    def test_its_facts(self) -> None:
        node = SeedNode(lambda _command: (0, "seed:set_default=yes\nseed:storage=yes\nseed:dnsmasq=no\n"))
        assert (node.facts().set_default, node.facts().storage, node.facts().dnsmasq) == (True, True, False)

    def test_one_that_does_not_answer(self) -> None:
        def run(_command: str) -> tuple[int, str]:
            raise AnsibleConnectionFailure("no route to host")

        node = SeedNode(run)
        assert "no route to host" in node.facts().why
        assert node.facts().set_default is None
        assert node.log() == ""
        assert node.last_line() == ""

    def test_a_command_that_fails_gives_no_log(self) -> None:
        node = SeedNode(lambda _command: (125, "no such container"))
        assert node.log() == ""
        assert "no such container" in node.facts().why

    def test_the_last_line_is_short_and_masked(self) -> None:
        node = SeedNode(lambda _command: (0, "first\npushing password=s3cr3t-w0rd " + "x" * 500 + "\n"))
        assert len(node.last_line()) <= 120
        assert "s3cr3t-w0rd" not in node.last_line()
