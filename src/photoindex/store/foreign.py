"""What a catalog that somebody else made may hold, and none of ours does: views and macros, which are questions of
theirs that are asked in place of ours.

They reach no file while a catalog is open (see `connection`). What there is is asked at a restore only, because listing
it takes DuckDB ten milliseconds and more. The questions here name the system's own functions in full: a macro of the
same name would be found before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CODE = """
SELECT 'the view', view_name FROM system.main.duckdb_views() WHERE NOT internal AND database_name <> 'temp'
UNION
SELECT 'the macro', function_name FROM system.main.duckdb_functions() WHERE NOT internal AND database_name <> 'temp'
ORDER BY ALL
"""
_TABLES = """
SELECT schema_name, table_name FROM system.main.duckdb_tables() WHERE NOT internal AND database_name <> 'temp'
"""


def foreign_code(con: DuckDBPyConnection) -> list[str]:
    """The views and macros of the one catalog that is open, such as "the view photos"; nothing of them is run."""
    return [f"{what} {name}" for what, name in con.execute(_CODE).fetchall()]


def tables_of(con: DuckDBPyConnection) -> list[str]:
    """The tables of the one catalog that is open, such as "the table photos"; with the schema if it is not ours."""
    rows = con.execute(_TABLES).fetchall()
    return [f"the table {name if schema == 'main' else f'{schema}.{name}'}" for schema, name in rows]
