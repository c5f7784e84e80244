"""A client over TLS, in bytes: harness.Client with a handshake."""
import json
import socket
import ssl

import harness

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(files, certificate=None, version=None, ca="ca.pem", key=None):
    """What a client wants: `certificate` and `version` are names ("client", "1.3")."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(files[ca])
    if certificate is not None:
        c.load_cert_chain(files[certificate + ".pem"], files[(key or certificate) + "-key.pem"])
    if version is not None:
        c.minimum_version = c.maximum_version = VERSIONS[version]
    return c


def read_info(sock):
    """The INFO line, byte by byte: what follows it is not ours. b"" at the end."""
    line = b""
    while not line.endswith(b"\r\n"):
        byte = sock.recv(1)
        if not byte:
            return b""
        line += byte
    return line


class Secure(harness.Client):
    """INFO in plaintext, the handshake, CONNECT; with first=True the handshake, INFO, CONNECT."""

    def __init__(self, server, files, first=False, connect=True, options=None, timeout=harness.LIMIT, name="localhost",
                 session=None, how=None, **wishes):
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.buffer = self.raw, b""
        try:
            if not first:
                self.info = json.loads(read_info(self.raw)[5:])
            self.sock = (how or context(files, **wishes)).wrap_socket(self.raw, server_hostname=name, session=session,
                                                                      suppress_ragged_eofs=False)
            if first:
                self.info = json.loads(read_info(self.sock)[5:])
        except BaseException:
            self.raw.close()
            raise
        if connect:
            o = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
            o.update(options or {})
            self.send(b"CONNECT " + json.dumps(o).encode() + b"\r\n")

    def subscribe(self, subject, sid="1", queue=""):
        self.send(f"SUB {subject} {queue} {sid}\r\n")
        self.ping()

    def publish(self, subject, payload=b""):
        self.send(f"PUB {subject} {len(payload)}\r\n", payload, b"\r\n")


def first_only(server):
    """A server that says nothing before a handshake: it is up when its ports file is there."""
    harness.until(lambda: server.process.poll() is not None or server.ports(), "ports file")
    assert server.process.poll() is None, server.process.stdout.read().decode() + server.log()
    server.port = server.ports()
    return server
