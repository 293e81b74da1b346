"""Servers for the tests of this folder."""

import pytest

from serving import Server, config_file


@pytest.fixture(scope="session")
def server(hearth, model, tmp_path_factory):
    running = Server(hearth, model, tmp_path_factory.mktemp("serve") / "log")
    yield running
    assert running.process.poll() is None, "the server died during the tests:\n" + (
        running.log.read_text(errors="replace")
    )
    assert running.stop() == 0


@pytest.fixture
def own_server(hearth, model, tmp_path):
    """A server for one test alone, which may stop it."""
    running = Server(hearth, model, tmp_path / "log")
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture
def configured(hearth, model, tmp_path):
    """Starts a server with a configuration file: start(text) -> (server, path)."""
    servers = []

    def start(text, *options):
        path = config_file(tmp_path / "etc", text)
        server = Server(hearth, None, tmp_path / "log", "--config", str(path), *options)
        servers.append(server)
        return server, path

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def client(server):
    return server.client()
