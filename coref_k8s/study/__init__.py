"""The request: `StudySpec`, its parameters, the names and paths of what it becomes, and how it is read."""
