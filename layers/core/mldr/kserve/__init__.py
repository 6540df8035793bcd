"""KServe: InferenceServices over the Kubernetes REST API, with dicts, and what they answer."""
