"""The gateway of scripts/supabase-stack: takes API keys in front of PostgREST, and ends the stack when it is
idle. Made for trying tallyd out: the tests bring a stricter one of their own, tests/it/remote/gateway.rs."""
import base64
import contextlib
import hmac
import http.client
import http.server
import json
import socket
import sys
import time
from pathlib import Path

JWT_SECRET = "tallyd-signs-the-tokens-of-its-throw-away-stack"
SECRET_KEY = "sb_secret_tallydThrowAwayStack00_1a2b3c4d"
PUBLISHABLE_KEY = "sb_publishable_tallydThrowAwayStack00_4d3c2b1a"
FOREVER = 4102444800  # 2100-01-01, as keys have it


def token(role, user=None):
    """A JWT as the project would sign it: a legacy API key, or a user's access token."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    claims = {"iss": "supabase", "role": role, "exp": FOREVER} | ({"sub": user} if user else {})
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims, separators=(",", ":")).encode())
    return (text + b"." + part(hmac.digest(JWT_SECRET.encode(), text, "sha256"))).decode()


class Upstream(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes API keys and passes on what is below /rest/v1. The tests bring a stricter one of their own."""

    protocol_version = "HTTP/1.1"

    def forward(self):
        key = self.headers.get("apikey")
        role = {SECRET_KEY: "service_role", PUBLISHABLE_KEY: "anon", token("service_role"): "service_role",
                token("anon"): "anon"}.get(key)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if role is None:
            what = "No API key found in request" if key is None else "Invalid API key"
            return self.answer(401, [("Content-Type", "application/json")], json.dumps({"message": what}).encode())
        if not self.path.startswith("/rest/v1/"):
            return self.answer(404, [], b"")
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("apikey", "host", "connection", "content-length")}
        headers.setdefault("Authorization", f"Bearer {token(role)}")
        with contextlib.closing(Upstream(self.server.folder / "supa.rest")) as connection:
            connection.request(self.command, self.path.removeprefix("/rest/v1"), body or None, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders()
                    if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server")]
            return self.answer(answer.status, kept, answer.read())

    do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = forward

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        (self.server.folder / "used").touch()

    def log_message(self, *_):
        """Nothing is logged: a request's line may hold a session's id."""


class Gateway(http.server.ThreadingHTTPServer):
    """Serves until the stack is gone, or idle for too long and then ended by `stop`."""

    def __init__(self, folder, idle, stop):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.idle, self.stop = Path(folder), idle * 60, stop
        (self.folder / "gateway.new").write_text(f"http://127.0.0.1:{self.server_port}")
        (self.folder / "gateway.new").rename(self.folder / "gateway.url")

    def service_actions(self):
        try:
            used = (self.folder / "used").stat().st_mtime
        except FileNotFoundError:
            sys.exit()
        if self.idle and time.time() - used > self.idle:
            self.stop()
            sys.exit()
