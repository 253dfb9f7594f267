"""Tokens for tests (JWT, HS256), made by nobody but the standard library.

Owns a secret of its own in a file, which is gone afterwards.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import tempfile
import time


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Issuer:
    """Use as a context manager. `setting` is the line for the relay's configuration."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wsrelayd-issuer-")
        self.secret = secrets.token_hex(32).encode()
        path = os.path.join(self.folder.name, "tests.key")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(self.secret)
        self.setting = f'token_keys = ["{path}"]\n'

    def token(self, seconds=60, **claims):
        """One with these claims that holds for so long from now on; a negative time is over."""
        header = {"alg": "HS256", "typ": "JWT"}
        claims = {"exp": int(time.time()) + seconds, **claims}
        signed = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = hmac.new(self.secret, signed, hashlib.sha256).digest()
        return (signed + b"." + encoded(signature)).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()
