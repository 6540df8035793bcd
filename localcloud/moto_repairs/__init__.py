"""One file per service: AWS behaviour that moto lacks and this product relies on."""
