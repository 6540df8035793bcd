"""Checksums of bytes that pass by, and which of them is computed."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.digests import GIB, HASHES, RESUMABLE, Digest, checkable

# The check values of the published catalogue of CRCs, over the nine digits.
KNOWN = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


def of(algorithm, *chunks, value=""):
    """The checksum of bytes that come in pieces."""
    digest = Digest(algorithm, value)
    for chunk in chunks:
        digest.update(chunk)
    return digest.value


@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_crc_has_its_published_check_value(algorithm):
    assert base64.b64decode(of(algorithm, b"123456789")).hex() == KNOWN[algorithm]


@pytest.mark.parametrize("algorithm", HASHES)
def test_a_hash_is_the_one_of_the_standard_library(algorithm):
    assert base64.b64decode(of(algorithm, b"abc")) == hashlib.new(HASHES[algorithm], b"abc").digest()


@pytest.mark.parametrize("algorithm", [*HASHES, *RESUMABLE])
@given(body=st.binary(max_size=300), cut=st.integers(0, 300))
def test_pieces_give_what_the_whole_gives(algorithm, body, cut):
    assert of(algorithm, body[:cut], body[cut:]) == of(algorithm, body)


@pytest.mark.parametrize("algorithm", RESUMABLE)
@given(body=st.binary(max_size=300), cut=st.integers(0, 300))
def test_a_crc_goes_on_from_its_value(algorithm, body, cut):
    assert of(algorithm, body[cut:], value=of(algorithm, body[:cut])) == of(algorithm, body)


@pytest.mark.parametrize(
    ("digests", "size", "algorithm"),
    [
        ({"CRC64NVME": "", "SHA256": ""}, 10, "SHA256"),
        ({"CRC64NVME": "", "SHA256": ""}, 2 * GIB, "CRC64NVME"),
        ({"SHA256": ""}, 2 * GIB, "SHA256"),
        ({"SHA256": ""}, 17 * GIB, None),
        ({"CRC32": "", "CRC64NVME": ""}, 17 * GIB, "CRC64NVME"),
        ({"MD5": ""}, 0, "MD5"),
        ({"XXHASH3": ""}, 0, None),
        ({}, 0, None),
    ],
)
def test_the_strongest_is_computed_and_of_large_objects_one_that_can_be_resumed(digests, size, algorithm):
    assert checkable(digests, size) == algorithm
