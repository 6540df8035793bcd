"""Real servers on loopback beside moto: Ceph's radosgw, LocalStack's S3 and AWS's own DynamoDB Local."""
