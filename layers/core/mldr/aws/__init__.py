"""One adapter per noun of AWS; a ClientError becomes our error here."""
