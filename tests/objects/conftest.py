from tests.objectstore import link, object_server

__all__ = ["link", "object_server"]
