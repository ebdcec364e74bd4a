import pytest

from harness.load import client


@pytest.mark.parametrize(
    ("url", "asked", "kind"),
    [
        ("http://127.0.0.1:8000/v1/completions", "kernel", "kernel"),
        ("http://127.0.0.1:8000/v1/completions", "aiohttp", "aiohttp"),
        ("https://gpu.example:8000/v1/completions", "kernel", "aiohttp"),
        ("http://user:word@gpu.example/v1/completions", "kernel", "aiohttp"),
    ],
)
def test_plain_sockets_serve_plain_endpoints(url, asked, kind):
    assert kind == client.kind_for(url, asked)


def test_without_kernel_stamps_aiohttp_does_it(monkeypatch):
    monkeypatch.setattr(client, "kernel_stamps", lambda: False)

    assert "aiohttp" == client.kind_for("http://127.0.0.1:8000/v1/completions", "kernel")
