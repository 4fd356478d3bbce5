"""Alembic's way in: runs migrations on the connection that it is given."""

from alembic import context

from coref_k8s.store.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
