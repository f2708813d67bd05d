"""SQL from a seeded grammar. SQLite itself judges: it has the allowed tables alone, and its authorizer sees writes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

from texts import SEED, Case

import outlast as ol

TABLES = {"orders": "customer_id", "customers": "country_id", "items": "order_id"}
SECRET = "users"
SETUP = "".join(
    f"CREATE TABLE {name} (id INTEGER, {other} INTEGER, name TEXT, total REAL, made TEXT);"
    for name, other in TABLES.items()
)
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
WRITES = (
    "INSERT INTO orders (id) SELECT 1 FROM ({})",
    "CREATE TABLE copies AS {}",
    "CREATE VIEW seen AS {}",
    "DELETE FROM orders WHERE id IN (SELECT 1 FROM ({}))",
    "UPDATE orders SET total = 0 WHERE EXISTS ({})",
    "WITH found AS ({}) DELETE FROM items WHERE id IN (SELECT 1 FROM found)",
    "WITH found AS ({}) INSERT INTO items (id) SELECT 1 FROM found",
    "REPLACE INTO items (id) SELECT 1 FROM ({})",
)
SECONDS = (
    "DROP TABLE orders",
    "DELETE FROM items",
    "SELECT 1",
    "PRAGMA writable_schema = 1",
    "UPDATE orders SET id = 0",
)


class Grammar:
    """Draws statements; `tables` are those that it may name."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    def query(self, depth: int = 2) -> str:
        """A whole SELECT."""
        form = self.draw.randrange(5) if depth else 0
        if form == 1:
            return f"WITH recent AS ({self.select(depth - 1)}) SELECT count(*) FROM recent"
        if form == 2:
            word = self.draw.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
            return f"{self.select(depth - 1)} {word} {self.select(depth - 1)}"
        if form == 3:
            return f"SELECT id, max(total) FROM ({self.select(depth - 1)}) AS inner_{depth} GROUP BY 1 ORDER BY 2 DESC"
        return self.select(depth)

    def select(self, depth: int) -> str:
        """One SELECT of id and a number."""
        table, other = self.draw.sample(sorted(TABLES), 2)
        value = self.draw.choice(
            [
                "a.total",
                "round(a.total * 1.19, 2)",
                "coalesce(a.total, 0)",
                "CASE WHEN a.total > 9 THEN 1 ELSE 0 END",
                "row_number() OVER (PARTITION BY a.name ORDER BY a.made)",
                "CAST(strftime('%Y', a.made) AS INTEGER)",
                "length(upper(a.name) || '; DROP TABLE users')",
            ]
        )
        join = self.draw.choice(
            ["", "", f" JOIN {other} AS b ON b.id = a.{TABLES[table]}", f" LEFT JOIN {other} b USING (id)"]
        )
        return f"SELECT a.id AS id, {value} AS total FROM {table} AS a{join} WHERE {self.condition(depth, other)}"

    def condition(self, depth: int, table: str) -> str:
        """What rows are taken."""
        plain = [
            "a.total BETWEEN 1 AND 5",
            "a.name LIKE 'users%'",
            "a.made >= date('now', '-1 month')",
            "a.id IN (1, 2)",
        ]
        if not depth:
            return self.draw.choice(plain)
        inner = [
            f"a.id IN (SELECT c.id FROM {table} AS c WHERE {self.draw.choice(plain)})",
            f"EXISTS (SELECT 1 FROM {table} AS c WHERE c.id = a.id)",
            f"a.total > (SELECT avg(c.total) FROM {table} c)",
        ]
        word = self.draw.choice(["AND", "OR", "AND NOT"])
        return f"{self.draw.choice(plain + inner)} {word} {self.draw.choice(plain + inner)}"


def judged(text: str) -> bool:
    """True where SQLite takes it as one statement that only reads, of tables that are there."""
    seen: list[bool] = []

    def allow(action: int, *_: str | None) -> int:
        seen.append(action in READS)
        return sqlite3.SQLITE_OK

    base = sqlite3.connect(":memory:")
    try:
        base.executescript(SETUP)
        base.set_authorizer(allow)
        base.execute(f"EXPLAIN {text}")
    except (sqlite3.ProgrammingError, sqlite3.Warning):  # more than one statement
        return False
    except sqlite3.OperationalError as error:
        if f"no such table: {SECRET}" not in str(error):
            raise
        return False
    finally:
        base.close()
    return all(seen)


def query_cases(most: int = 400) -> Iterator[Case]:
    """Statements over the allowed tables; or with a forbidden table, a write, or a second statement."""
    check = ol.checks.sql("answer", dialect="sqlite", tables=sorted(TABLES))
    draw = random.Random(SEED)
    grammar = Grammar(draw)
    for _ in range(most):
        fine = grammar.query()
        named = draw.choice([name for name in TABLES if f" {name} " in f"{fine.replace(')', ' ')} "])
        places = [at for at in range(len(fine)) if fine.startswith(f" {named}", at)]
        place = draw.choice(places)
        wrong = (
            f"{fine[:place]} {SECRET}{fine[place + 1 + len(named) :]}",
            draw.choice(WRITES).format(fine),
            f"{fine}; {draw.choice(SECONDS)}",
        )
        for text, expected in ((fine, True), *((text, False) for text in wrong)):
            assert judged(text) is expected, text  # the grammar, not the check
            yield check, {"answer": text}, expected
