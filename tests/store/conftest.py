from tests.postgres import new_database, postgres_server, postgres_url

__all__ = ["new_database", "postgres_server", "postgres_url"]
