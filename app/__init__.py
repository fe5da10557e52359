"""The service: HTTP and scheduling over `models.pipeline`; it knows numpy at that door and no tensor."""
