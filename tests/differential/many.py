# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tens of thousands of questions to one API server: a kept connection per worker, and little else in between."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kubeapi import KubeApi, Reply
from kubeapi.client import JSON

# Two cores: the server takes most of both, and more workers gain nothing.
WORKERS = 4


@dataclass(frozen=True)
class Question:
    """One request, without what is the same in all of them."""

    method: str
    path: str
    body: object
    content_type: str = JSON


class Many:
    """The administrator with several connections."""

    def __init__(self, server: KubeApi) -> None:
        self._port = server.port
        self._context = ssl.create_default_context(cafile=str(server.ca_certificate))
        self._headers = {"Authorization": f"Bearer {server.admin_token}", "Accept": JSON}

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """The answers in the order of the questions."""
        shares = [questions[start::WORKERS] for start in range(WORKERS)]
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(self._share, shares))
        return [answers[index % WORKERS][index // WORKERS] for index in range(len(questions))]

    def _share(self, questions: Sequence[Question]) -> list[Reply]:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=60)
        try:
            return [self._one(connection, question) for question in questions]
        finally:
            connection.close()

    def _one(self, connection: http.client.HTTPSConnection, question: Question) -> Reply:
        headers = {**self._headers, "Content-Type": question.content_type}
        connection.request(question.method, question.path, json.dumps(question.body), headers)
        response = connection.getresponse()
        return Reply(response.status, {}, response.read().decode())
