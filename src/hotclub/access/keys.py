"""Which keys verify and sign tokens, and the algorithms they are used with."""

import jwt
from jwt.algorithms import HMACAlgorithm, get_default_algorithms

from hotclub.conf.token_keys import ALGORITHMS, HMAC


class _AnyLength(HMACAlgorithm):
    """A secret of any length: the system checks warn of a short one, and not every verification."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002
        return None


def signatures() -> jwt.PyJWS:
    """What checks and makes signatures, with the algorithms above and no other."""
    jws = jwt.PyJWS(algorithms=[])
    known = get_default_algorithms()
    hashes = dict(zip(HMAC, (HMACAlgorithm.SHA256, HMACAlgorithm.SHA384, HMACAlgorithm.SHA512), strict=True))
    for name in ALGORITHMS:
        jws.register_algorithm(name, _AnyLength(hashes[name]) if name in hashes else known[name])
    return jws
