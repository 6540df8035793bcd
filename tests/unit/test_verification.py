"""What proves a copy, what is asked next when nothing does yet, and what never proves it."""

import base64
import hashlib

import pytest

from mldr.domain.manifests import Entry
from mldr.domain.verification import Ask, Shown, asked_of_copy, computed_of_parts, judge, proved_as_a_whole
from mldr.errors import ChecksumMismatch

MD5 = hashlib.md5(b"weights", usedforsecurity=False).hexdigest()
ENTRY = Entry("k", "lake", "k", "v1", MD5, 0, 7, "vault/k", "", {})


def copy(etag=MD5, size=None, **checksums):
    return Shown(etag, checksums, size, "v2")


def source(**checksums):
    return Shown(MD5, checksums, 7, "v1")


def knowing(**digests):
    return ENTRY._replace(digests=digests)


def test_a_known_checksum_proves_the_copy_without_asking():
    proof = judge(knowing(CRC32="one="), copy("other", CRC32="one=", SHA256="two="), etags=False)
    assert proof.digests == {"CRC32": "one=", "SHA256": "two="}


def test_the_name_of_an_algorithm_proves_nothing():
    assert judge(knowing(CRC32=""), copy("other", CRC32=""), etags=False).ask is Ask.SOURCE


@pytest.mark.parametrize("entry", [knowing(SHA256="one="), knowing(SHA256="one=", CRC32="same=")])
def test_one_checksum_that_differs_is_a_mismatch_whatever_else_agrees(entry):
    with pytest.raises(ChecksumMismatch, match="vault/k: SHA256 is two= in the vault"):
        judge(entry, copy(SHA256="two=", CRC32="same="), etags=True)


def test_a_size_that_differs_is_a_mismatch_and_one_that_agrees_proves_nothing():
    with pytest.raises(ChecksumMismatch, match="8 bytes in the vault, 7 in"):
        judge(ENTRY, copy(size=8), etags=True)
    assert judge(ENTRY, copy("other", size=7), etags=True).ask is Ask.SOURCE


def test_equal_md5_etags_prove_the_copy_where_etags_are_md5s():
    proof = judge(ENTRY, copy(CRC64NVME="crc="), etags=True)
    assert proof.digests == {"CRC64NVME": "crc=", "MD5": base64.b64encode(bytes.fromhex(MD5)).decode()}
    assert judge(ENTRY, copy(CRC64NVME="crc="), etags=False).ask is Ask.SOURCE


@pytest.mark.parametrize(("of_source", "of_copy"), [(f"{MD5}-2", f"{MD5}-2"), (MD5, "f" * 32), ("", ""), ("x", "x")])
def test_other_etags_prove_nothing_and_are_no_mismatch(of_source, of_copy):
    assert judge(ENTRY._replace(etag=of_source), copy(of_copy), etags=True).ask is Ask.SOURCE


def test_the_description_of_the_source_proves_the_copy():
    assert judge(ENTRY, copy("x", CRC64NVME="crc="), source(CRC64NVME="crc="), etags=False).digests
    with pytest.raises(ChecksumMismatch):
        judge(ENTRY, copy("x", CRC64NVME="crc="), source(CRC64NVME="other="), etags=False)


@pytest.mark.parametrize(
    ("of_copy", "of_source", "ask", "algorithm"),
    [
        ({"CRC64NVME": "x"}, {"SHA256": "y"}, Ask.READ_COPY, "SHA256"),
        ({"CRC64NVME": "x"}, {"SHA256": "y", "CRC32C": "z"}, Ask.READ_COPY, "SHA256"),
        ({"SHA256": "x"}, {}, Ask.READ_SOURCE, "SHA256"),
        ({"SHA256": "x"}, {"CRC64NVME": "y"}, Ask.READ_COPY, "CRC64NVME"),
        ({"CRC64NVME": "x"}, {}, Ask.READ_SOURCE, "CRC64NVME"),
        ({"CRC64NVME": "x"}, {"CRC32C": "y"}, Ask.READ_COPY, "CRC32C"),
        ({}, {"CRC32": "y"}, Ask.READ_COPY, "CRC32"),
        ({}, {}, Ask.READ_BOTH, "SHA256"),
        ({}, {"XXHASH3": "y"}, Ask.READ_BOTH, "SHA256"),
    ],
)
def test_bytes_are_read_where_checksums_cannot_meet_and_as_few_as_prove_it(of_copy, of_source, ask, algorithm):
    proof = judge(ENTRY, copy("x", **of_copy), source(**of_source), etags=False)
    assert (proof.digests, proof.ask, proof.algorithm) == (None, ask, algorithm)


@pytest.mark.parametrize(
    ("digests", "asked"),
    [
        ({}, "CRC64NVME"),
        ({"CRC32C": ""}, "CRC32C"),
        ({"CRC32": "", "SHA256": "x="}, "SHA256"),
        ({"MD5": "x="}, "CRC64NVME"),
    ],
)
def test_a_copy_is_asked_for_what_the_source_has_or_for_what_can_be_computed_as_it_is_read(digests, asked):
    assert asked_of_copy(knowing(**digests)) == asked


@pytest.mark.parametrize(
    ("of_source", "computed"),
    [
        ({}, "CRC64NVME"),
        ({"SHA256": "x"}, "CRC64NVME"),
        ({"CRC64NVME": "x", "CRC32": "y"}, "CRC64NVME"),
        ({"CRC32C": "x"}, "CRC32C"),
    ],
)
def test_parts_are_asked_for_a_checksum_over_the_whole_that_the_source_has(of_source, computed):
    assert computed_of_parts(of_source) == computed
    assert proved_as_a_whole(of_source) == (computed in of_source)
