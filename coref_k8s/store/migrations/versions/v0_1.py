"""Studies and attempts as release 0.1 made them: where migrations begin."""

revision = "0.1"
down_revision = None


def upgrade() -> None:
    """Do nothing: a database without a version has these tables."""
