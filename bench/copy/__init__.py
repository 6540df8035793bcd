"""Bucket to bucket on one S3 server: mldr against s5cmd, rclone and `aws s3 sync`, in one run."""
