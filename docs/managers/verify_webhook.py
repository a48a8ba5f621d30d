"""Check that a message came from the site, and is not an old one sent again. Python's own library is enough.

verify(secret, headers, body): secret as it was shown (whsec_…), headers with lower-case names, body as bytes, unparsed.
"""

import base64
import hmac
import time

TOLERANCE = 5 * 60  # seconds that the clocks may differ


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    # After a rotation there are two signatures for a day: one of them has to fit.
    given = headers["webhook-signature"].split()
    return any(hmac.compare_digest(expected, one) for one in given)
