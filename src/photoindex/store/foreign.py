"""What a catalog that somebody else made may hold, and none of ours does: views and macros, which are questions of
theirs that are asked in place of ours. A view called `photos` could read any file of the machine.

Files of others are out of reach of a catalog that is open (see `connection`), and one with views is not opened. What
else there is is asked at a restore only, because listing macros takes DuckDB some 15 ms. The questions here name the
system's own functions in full: a macro of the same name would be found before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VIEWS = "SELECT view_name FROM system.main.duckdb_views() WHERE NOT internal AND database_name <> 'temp' ORDER BY ALL"
_MACROS = """
SELECT DISTINCT function_name FROM system.main.duckdb_functions() WHERE NOT internal AND database_name <> 'temp'
ORDER BY ALL
"""
_TABLES = """
SELECT schema_name, table_name FROM system.main.duckdb_tables() WHERE NOT internal AND database_name <> 'temp'
"""


def foreign_views(con: DuckDBPyConnection) -> list[str]:
    """The views of the one catalog that is open, such as "the view photos"; none of them is asked."""
    return [f"the view {name}" for (name,) in con.execute(_VIEWS).fetchall()]


def foreign_macros(con: DuckDBPyConnection) -> list[str]:
    """The macros of the one catalog that is open, such as "the macro lower"; none of them is run."""
    return [f"the macro {name}" for (name,) in con.execute(_MACROS).fetchall()]


def tables_of(con: DuckDBPyConnection) -> list[str]:
    """The tables of the one catalog that is open, such as "the table photos"; with the schema if it is not ours."""
    rows = con.execute(_TABLES).fetchall()
    return [f"the table {name if schema == 'main' else f'{schema}.{name}'}" for schema, name in rows]
