"""A check of SQL: one statement that parses, only reads, and only from what it may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from outlast.checks.check import Check, CheckResult
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, flag, listed, of_text, shown, whole
from outlast.checks.sql_names import COMPUTES, REFUSED, ROWS
from outlast.errors import UsageError, brief, did_you_mean

_STARTS = ("select", "with", "values", "from", "table", "(")
_WRITES = "only reading is allowed: one SELECT (also with WITH or UNION)"


@factory
def sql(
    field: str,
    *,
    dialect: str | None = None,
    tables: Iterable[str] | None = None,
    columns: Mapping[str, Iterable[str]] | None = None,
    functions: Iterable[str] = (),
    read_only: bool = True,
    most: int = 20_000,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text is one SQL statement that parses in a dialect of sqlglot ("postgres", "sqlite", "duckdb", ...), only
    reads (`read_only`), and uses only these `tables`, in joins, subqueries and CTEs too.

    A table is named as the queries must: "orders", or "sales.orders" where they say the schema; another spelling of
    schema or catalog is another table. `columns` (table: its columns) limits columns as well; `*` is refused then, but
    in COUNT(*). Functions that only compute are allowed; those that are not known to are refused, as are those that
    read files, the network, settings or sequences: `functions` names more that may be called. Longer than `most`
    characters fails. It is a second fence: give the account that runs the query no more rights than it needs.
    Needs `pip install 'outlast[sql]'` (sqlglot). Raises `UsageError` for an unknown dialect.
    """
    flag("sql", read_only=read_only)
    whole("sql", "most", most, 1)
    _dialect(dialect)
    given = None if tables is None else tuple(sorted(listed("sql", "tables", tables)))
    known = None if columns is None else {name: tuple(listed("sql", "columns", of)) for name, of in columns.items()}
    if known is not None and given is not None and set(given) != set(known):
        raise UsageError("ol.checks.sql: columns names the columns of every table; leave tables= out then")
    names = tuple(known) if known is not None else given
    allowed = None if names is None else {_spelt(name, dialect): name for name in names}
    more = frozenset(name.lower() for name in functions)
    reader = _Reader(field, dialect, allowed, known, more, read_only)

    def judge(text: str) -> CheckResult:
        if len(text) > most:
            return CheckResult(False, f"{field!r} is SQL of {len(text):,} characters; at most {most:,} are read")
        return reader.judge(text)

    options = {"dialect": dialect, "tables": given, "columns": known, "functions": tuple(sorted(more))}
    return of_text("sql", field, judge, on_fail=on_fail, each=each, **options, read_only=read_only, most=most)


def _dialect(name: Any) -> None:
    try:
        import sqlglot
    except ImportError as error:
        raise UsageError("ol.checks.sql needs the package sqlglot: pip install 'outlast[sql]'") from error
    names = sorted(one.value for one in sqlglot.Dialects if one.value)
    if name is not None and name not in names:
        near = did_you_mean(name, names) if isinstance(name, str) else ""
        raise UsageError(f"ol.checks.sql: dialect is one of {', '.join(names)}; got {brief(name)}.{near}")


def _spelt(name: str, dialect: str | None) -> tuple[str, ...]:
    """Catalog, schema and name of a table, as the dialect compares them."""
    from sqlglot import errors, exp, parse_one
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    try:
        table = normalize_identifiers(parse_one(name, into=exp.Table, dialect=dialect), dialect=dialect)
    except errors.SqlglotError as error:
        raise UsageError(f"ol.checks.sql: {brief(name)} is no name of a table in {dialect or 'SQL'}") from error
    if not isinstance(table.this, exp.Identifier) or table.args.get("alias"):
        raise UsageError(f"ol.checks.sql: {brief(name)} is no name of a table in {dialect or 'SQL'}")
    return _name(table)


def _name(table: Any) -> tuple[str, ...]:
    return tuple(part.name for part in table.parts)


class _Reader:
    """Judges statements by one set of rules."""

    def __init__(
        self,
        field: str,
        dialect: str | None,
        tables: Mapping[tuple[str, ...], str] | None,
        columns: Mapping[str, tuple[str, ...]] | None,
        functions: frozenset[str],
        read_only: bool,
    ) -> None:
        self.field, self.dialect, self.tables, self.columns = field, dialect, tables, columns
        self.functions, self.read_only = functions, read_only

    def judge(self, text: str) -> CheckResult:
        import sqlglot
        from sqlglot import errors

        start = text.lstrip().lower()
        while start.startswith(("--", "/*")):
            ended = start.partition("\n" if start.startswith("--") else "*/")
            start = ended[2].lstrip()
        if "/*!" in text or "/*m!" in text.lower():
            return self._no("it holds a comment that some databases run as SQL (/*! ... */); leave it out")
        if "\0" in text:
            return self._no("it holds a null character")
        if not start:
            return self._no("it holds no statement")
        if self.read_only and not start.startswith(_STARTS):
            return self._no(f"it starts with {brief(start.split()[0], 40)}; {_WRITES}")
        try:
            statements = sqlglot.parse(text, dialect=self.dialect)
        except errors.SqlglotError as error:
            told: Any = getattr(error, "errors", None)
            first: dict[str, Any] = told[0] if told else {}
            where = f"line {first['line']}, column {first['col']}: " if first.get("line") else ""
            said = first.get("description") or str(error).splitlines()[0]
            return self._no(f"it does not parse as {self.dialect or 'SQL'}: {where}{said[:200]}")
        except (RecursionError, ValueError, AttributeError, TypeError, LookupError) as error:  # of hostile text
            return self._no(f"it does not parse as {self.dialect or 'SQL'} ({type(error).__name__})")
        trees = [tree for tree in statements if tree is not None and not _is(tree, "Semicolon")]
        if len(trees) != 1:
            return self._no(f"it holds {len(trees)} statements; write one")
        try:
            problems = list(dict.fromkeys(self._problems(trees[0])))
        except RecursionError:
            return self._no("it is nested too deeply")
        if not problems:
            return FINE
        return self._no("; ".join(problems[:5]))

    def _no(self, problem: str) -> CheckResult:
        return CheckResult(False, f"the SQL in {self.field!r}: {problem}")

    def _problems(self, tree: Any) -> Iterator[str]:
        from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

        tree = normalize_identifiers(tree, dialect=self.dialect)
        if self.read_only:
            yield from _writes(tree)
            yield from self._calls(tree)
        if self.tables is None:
            return
        wrong = list(dict.fromkeys(_told(table) for table in _read(tree, self.dialect) if not self._may(table)))
        if wrong:
            yield f"it uses {shown(wrong)}; tables: {', '.join(self.tables.values()) or 'none'}"
        elif self.columns is not None:
            yield from self._columns(tree)

    def _may(self, table: Any) -> bool:
        from sqlglot import exp

        assert self.tables is not None
        if not isinstance(table, exp.Table):
            return False
        if isinstance(table.this, exp.Func):
            return self._computes(table.this, ROWS)
        return _name(table) in self.tables

    def _computes(self, call: Any, names: frozenset[str]) -> bool:
        from sqlglot import exp

        name = _called(call)
        if name in self.functions:
            return True
        if name in REFUSED:
            return False
        return name in names or not isinstance(call, exp.Anonymous | exp.AnonymousAggFunc)

    def _calls(self, tree: Any) -> Iterator[str]:
        """Functions that are not known to compute only, and variables of the session."""
        from sqlglot import exp

        for node in tree.find_all(exp.Func, exp.SessionParameter, exp.PropertyEQ, exp.Command, exp.Dot):
            if isinstance(node, exp.SessionParameter):
                yield "it reads a setting of the session (@@...)"
            elif isinstance(node, exp.PropertyEQ):
                if isinstance(node.this, exp.Parameter):
                    yield "it sets a variable"
            elif isinstance(node, exp.Command):
                yield _WRITES
            elif isinstance(node, exp.Dot):
                if isinstance(node.expression, exp.Func) and node.sql().lower() not in self.functions:
                    yield f"it calls {node.sql()[:60]}, a function of a schema"
            elif not self._computes(node, COMPUTES | ROWS):
                yield f"it calls {_called(node)}(), which is not known to only compute"

    def _columns(self, tree: Any) -> Iterator[str]:
        from sqlglot import errors, exp
        from sqlglot.optimizer.qualify import qualify
        from sqlglot.schema import MappingSchema

        assert self.columns is not None
        for star in tree.find_all(exp.Star):
            if not isinstance(star.parent, exp.Count):
                yield "it takes every column (*); name those that are needed"
                return
        schema = MappingSchema(dialect=self.dialect)
        for table, names in self.columns.items():
            schema.add_table(table, dict.fromkeys(names, "TEXT"), dialect=self.dialect)
        try:
            plain = qualify(tree, schema=schema, dialect=self.dialect, quote_identifiers=False)
            if (row := plain.find(exp.TableColumn)) is not None:
                yield f"it takes whole rows of {row.name!r}; name the columns that are needed"
        except (errors.SqlglotError, RecursionError) as error:
            may = "; ".join(f"{table}: {', '.join(names)}" for table, names in self.columns.items())
            yield f"{str(error).splitlines()[0][:160].rstrip('.')}; columns: {may[:400]}"


def _is(node: Any, kind: str) -> bool:
    return type(node).__name__ == kind


def _called(call: Any) -> str:
    """The name of a function, as somebody would write it."""
    return str(call.name if _is(call, "Anonymous") or _is(call, "AnonymousAggFunc") else call.sql_name()).lower()


def _writes(tree: Any) -> Iterator[str]:
    from sqlglot import exp

    if not isinstance(tree, exp.Query | exp.Values):
        yield _WRITES
        return
    for node in tree.find_all(
        exp.Insert,
        exp.Update,
        exp.Delete,
        exp.Merge,
        exp.Create,
        exp.Into,
        exp.Lock,
        exp.Command,
        exp.Execute,
        exp.Set,
        exp.Copy,
    ):
        if isinstance(node, exp.Lock):
            yield "it locks rows (FOR UPDATE); leave that out"
        else:
            yield f"it holds {type(node).__name__.upper()}; {_WRITES}"


def _told(table: Any) -> str:
    return table.sql()[:60] if not table.args.get("alias") else _without_alias(table)


def _without_alias(table: Any) -> str:
    bare = table.copy()
    bare.set("alias", None)
    return bare.sql()[:60]


def _read(tree: Any, dialect: str | None) -> Iterator[Any]:
    """Every table that is really read: a name that a CTE gives, where that CTE can be seen, is none.

    A CTE sees those before it, and itself when it is recursive; where databases differ, the name counts as a table.
    """
    from sqlglot import exp

    for node in tree.find_all(exp.Table, exp.In):
        if isinstance(node, exp.Table):
            if isinstance(node.this, exp.Func) or len(node.parts) > 1 or not _of_cte(node, node.name, dialect):
                yield node
        elif dialect in (None, "sqlite") and isinstance(field := node.args.get("field"), exp.Column):
            table = exp.to_table(field.sql(dialect), dialect=dialect)  # `x IN name` reads a table there
            if len(table.parts) > 1 or not _of_cte(node, table.name, dialect):
                yield table


def _of_cte(node: Any, name: str, dialect: str | None) -> bool:
    """True where a CTE of that name can be seen."""
    from sqlglot import exp

    inside: Any = node
    above = node.parent
    while above is not None:
        if isinstance(above, exp.With):
            recursive = bool(above.args.get("recursive")) or dialect == "tsql"
            for cte in above.expressions:
                if cte is inside:
                    if recursive and cte.alias == name:
                        return True
                    break
                if cte.alias == name:
                    return True
        else:
            ctes = above.args.get("with_") or above.args.get("with")
            if ctes is not None and ctes is not inside and any(cte.alias == name for cte in ctes.expressions):
                return True
        inside, above = above, above.parent
    return False
