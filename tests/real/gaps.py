"""What a server lacks: server -> feature -> what was measured.

A feature is the check of that name beside this file: it must fail where the feature is missing, so that a gap that has
been closed is noticed. Tests elsewhere that say `needs("feature")` are skipped, by name, on that server only.
"""

RADOSGW = {
    "delete markers named": "HEAD of a delete marker's version is 404, not 405",
    "versions after a key": "ListObjectVersions with KeyMarker alone begins with that key, not after it",
    "times of versions": "a listing tells milliseconds, the object itself whole seconds",
    "lock with a copy": "CopyObject ignores ObjectLockMode and ObjectLockRetainUntilDate",
    "lock with an upload": "CreateMultipartUpload ignores ObjectLockMode and ObjectLockRetainUntilDate",
    "conditional put in a versioned bucket": "If-None-Match is ignored where versions are kept; it holds elsewhere",
    "one winner of many puts of versions": "16 of 16 threads win where versions are kept",
    "conditional copy": "CopyObject ignores If-None-Match",
    "conditional completion": "CompleteMultipartUpload ignores If-None-Match",
    "copy if the source matches": "CopyObject ignores x-amz-copy-source-if-match",
    "part copy if the source matches": "UploadPartCopy ignores x-amz-copy-source-if-match",
    "copy tells its version": "CopyObject answers without x-amz-version-id",
    "completion tells its ETag": "CompleteMultipartUpload answers with an empty ETag",
    "tags of an upload": "CreateMultipartUpload ignores Tagging",
    "encrypted copy": "CopyObject ignores ServerSideEncryption and SSEKMSKeyId",
    "uploads that are gone": "ListParts of an aborted upload is NoSuchKey",
    "checksums": "x-amz-checksum-* is ignored: no answer carries one",
    "wrong checksum of a put": "x-amz-checksum-* is ignored, wrong values too",
    "wrong checksum in a trailer": "x-amz-checksum-* is ignored, wrong values too",
    "checksum of a copy": "CopyObject ignores x-amz-checksum-algorithm",
    "checksum of a large copy": "UploadPartCopy and CompleteMultipartUpload know no checksum",
    "wrong checksum of a completion": "CompleteMultipartUpload knows no checksum",
    "wrong size of a completion": "CompleteMultipartUpload ignores x-amz-mp-object-size",
    "composite checksum": "multipart uploads know no checksum",
    "checksums in a listing": "ListObjectVersions knows no checksum",
    "object attributes": "GetObjectAttributes is 500",
    "messages of errors": "errors have a code and no message",
}

LOCALSTACK = {
    "versions after any key": "a marker is compared with encoded keys: versions after `%` or a non-ASCII key are lost",
    "objects without a checksum": "every object gets a CRC64NVME, as on AWS today; older ones cannot be had",
    "tags of a copy from another region": "tags are kept by region: those of a copy from another one are lost",
    "signatures": "any signature is accepted",
}

MOTO = {
    "signatures": "any signature is accepted",
    "client request tokens": "a transaction with the same ClientRequestToken is applied twice",
    "TTL": "nothing ever expires",
}

GAPS = {
    (server, feature): measured
    for server, gaps in {"radosgw": RADOSGW, "localstack": LOCALSTACK, "moto": MOTO}.items()
    for feature, measured in gaps.items()
}
