"""A crash after each call to AWS, in two deployed regions that end with this package."""
