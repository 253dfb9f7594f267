"""The permissions that are measured: what the relay is told, and what each client brings."""

import base64
import hashlib
import hmac
import json
import unittest

import permits
import servers


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Permissions(unittest.TestCase):
    def test_a_token_is_signed_and_is_good_for_what_the_load_does(self):
        message, _, signature = permits.token(1000).rpartition(".")
        self.assertEqual(decoded(signature), hmac.digest(permits.SECRET, message.encode(), hashlib.sha256))
        claims = json.loads(decoded(message.partition(".")[2]))
        self.assertEqual((claims["exp"], claims["publish"]), (4600, ["/bench", "/bench/*"]))

    def test_every_permission_is_on_and_the_other_side_has_none(self):
        text = permits.configuration()
        self.assertGreaterEqual(len(permits.PATHS), 5)
        for words in ('path = "/bench"', 'publish = "token"', "messages_per_sec = ", "address_bytes_per_sec = ",
                      "token_keys = "):
            self.assertIn(words, text)
        self.assertNotIn("{", text)
        sides = permits.with_permissions(servers.RELAY), permits.without(servers.RELAY)
        self.assertEqual([len(side.headers) for side in sides], [3, 0])
        self.assertTrue(all(": " in line for line in sides[0].headers))


if __name__ == "__main__":
    unittest.main()
