"""Flags of Unleash, read from the documents that its clients get, with the same users in the same rollouts.

file = read_unleash(document)                       # what GET /api/client/features answers
flags = FlagSet.of(file.flags, file.segments)
found = flags.evaluate("checkout", attributes_of({"userId": "12", "properties": {"country": "SE"}}))
is_enabled(found), variant_of(found)
"""

from orita.delivery.flags.unleash.answers import attributes_of, is_enabled, variant_of
from orita.delivery.flags.unleash.reading import read_unleash

__all__ = ["attributes_of", "is_enabled", "read_unleash", "variant_of"]
