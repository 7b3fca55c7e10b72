"""Is a ``$`` expression of a bundle harmless? Told by reading its syntax tree; nothing is evaluated.

MONAI replaces ``@references`` in the text and gives the rest to Python's ``eval``. Here the same replacement is done
first, so that what is read is what would run. Every name, attribute and call must then be one that is allowed: modules
may only be the beginning of a dotted name that ends at an allowed member, attributes of anything else must have allowed
names, and none begins with an underscore.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from medai.bundles import allowed, components, endless

REFERENCE = re.compile(r"@\w*(?:::\w*)*")
_MARK = "__local_refs"
_LONGEST = 20_000


@dataclass(frozen=True)
class Finding:
    """One thing in a configuration that goes beyond what needs no trust.

    Parameters
    ----------
    where : str
        The setting (``"postprocessing::transforms::3::func"``).
    what : str
        What it does, half a sentence.
    harmful : bool
        Whether no honest model needs it.
    """

    where: str
    what: str
    harmful: bool = False


def references(text: str) -> list[str]:
    """Ids that a string refers to, ``#`` written as ``::``; empty for plain text."""
    text = text.replace("#", "::")
    found: list[str] = REFERENCE.findall(text)
    return [item[1:] for item in found if text.startswith("$") or text == item]


def replace_references(text: str) -> str:
    """The Python that MONAI evaluates for a ``$`` expression, but for relative ids, which stay as they are."""
    source = text[1:].replace("#", "::").lstrip(" \t")
    return REFERENCE.sub(lambda match: f"{_MARK}['{match[0][1:]}']", source)


def check_import(text: str, where: str) -> tuple[dict[str, str], list[Finding]]:
    """Names that an import statement binds, and what is wrong with it."""
    bound: dict[str, str] = {}
    found: list[Finding] = []
    try:
        body = ast.parse(text[1:].strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}, [Finding(where, "cannot be understood")]
    if len(body) != 1 or not isinstance(body[0], (ast.Import, ast.ImportFrom)):
        return {}, [Finding(where, "hides other code behind an import", harmful=True)]
    statement = body[0]
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            dotted = f"{module}.{alias.name}"
            if _is_monai_module(dotted) and not statement.level:
                pass
            elif statement.level or alias.name == "*":
                found.append(Finding(where, f"imports from '{module or '.'}' in a way that cannot be checked"))
            elif _member_count(tuple(dotted.split("."))) == 0 and dotted not in allowed.MEMBERS:
                found.append(_beyond(where, f"imports '{dotted}'", dotted))
        else:
            dotted = alias.name
            if dotted not in allowed.IMPORTS and not _is_monai_module(dotted):
                found.append(_beyond(where, f"imports '{dotted}'", dotted))
        name = alias.asname or (alias.name if isinstance(statement, ast.ImportFrom) else dotted)
        taken = name in allowed.BUILTINS or allowed.DEFAULT_NAMES.get(name, dotted) != dotted
        if taken or name.startswith("_"):
            found.append(Finding(where, f"gives the name '{name}' another meaning", harmful=True))
        if "." not in name:
            bound[name] = dotted
    return bound, found


def check(text: str, where: str, modules: Mapping[str, str], *, live: bool) -> list[Finding]:
    """What an expression does beyond the allowed.

    Parameters
    ----------
    text : str
        With its leading ``$``.
    where : str
        For the findings.
    modules : mapping of str to str
        Module or member that each imported name stands for.
    live : bool
        Whether it is evaluated when the bundle runs here.
    """
    if _MARK in text:
        return [Finding(where, "reaches into the machinery that reads it", harmful=True)]
    source = replace_references(text)
    if len(source) > _LONGEST or re.search(r"%:+", source):
        return [Finding(where, "cannot be checked")]
    checker = _Checker(where, modules, live=live)
    try:
        checker.visit(ast.parse(source, mode="eval"))
    except (SyntaxError, ValueError):
        return [Finding(where, "cannot be understood")]
    except (RecursionError, MemoryError):
        return [Finding(where, "is nested too deeply to be checked")]
    if checker.marks != source.count(_MARK) and not checker.found:
        # A reference inside quotes would end the quoted text and turn the rest into code.
        return [Finding(where, "hides a reference inside a text", harmful=True)]
    return checker.found


def check_argument(key: str, value: object, where: str) -> list[Finding]:
    """Arguments by which MONAI would load code, pickles or files from the network when given their name."""
    if key.startswith("pretrained") or key in ("download", "use_pretrained", "allow_pickle", "trust_repo"):
        harmless = value in (None, False, "", "$False", "$None")
        return [] if harmless else [Finding(where, f"asks for '{key}', which may download or unpack files")]
    if key == "weights_only" and value is not True:
        return [Finding(where, "asks to load weights without the check for code")]
    names = {"reader": allowed.READERS, "writer": allowed.WRITERS, "merger_cls": allowed.MERGERS}.get(key)
    if names is None or value is None or isinstance(value, Mapping):
        return []
    values = value if isinstance(value, list) else [value]
    found = []
    for item in values:
        if isinstance(item, Mapping):
            continue
        name = re.fullmatch(r"\$?\s*(?:monai\.(?:[a-z_]+\.)*)?(\w+)\s*", item) if isinstance(item, str) else None
        # MONAI knows its readers by names in lower case as well.
        if name is None or name[1].lower() not in {known.lower() for known in names}:
            found.append(_beyond(where, f"asks for the {key} '{item}'", str(item).lstrip("$")))
    return found


class _Checker(ast.NodeVisitor):
    def __init__(self, where: str, modules: Mapping[str, str], *, live: bool) -> None:
        self.where = where
        self.modules = {**allowed.DEFAULT_NAMES, **modules}
        self.live = live
        self.locals: frozenset[str] | set[str] = frozenset()
        self.marks = 0
        self.turns = 1.0
        self._replacing: ast.AST | None = None
        self.found: list[Finding] = []

    def refuse(self, what: str, *, harmful: bool = False) -> None:
        self.found.append(Finding(self.where, what, harmful))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            self.refuse("uses Python in a way that cannot be checked")
        elif isinstance(node, ast.Lambda):
            self._visit_lambda(node)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            self._visit_comprehension(node)
        else:
            super().visit(node)

    def _visit_lambda(self, node: ast.Lambda) -> None:
        arguments = node.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        extra = [item for item in (arguments.vararg, arguments.kwarg) if item]
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]
        with self._scope({argument.arg for argument in every}):
            self.visit(node.body)

    def _visit_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        # Python evaluates the first iterable outside of the comprehension's own scope.
        self.visit(node.generators[0].iter)
        names: set[str] = set()
        for generator in node.generators:
            for target in ast.walk(generator.target):
                if isinstance(target, ast.Name):
                    names.add(target.id)
                elif not isinstance(target, (ast.Tuple, ast.List, ast.Starred, ast.expr_context)):
                    # "for a.b in ..." assigns to the attribute of another object.
                    self.refuse("changes another object while looping", harmful=True)
        with self._scope(names):
            for number, generator in enumerate(node.generators):
                parts = [*([generator.iter] if number else []), *generator.ifs]
                for part in parts:
                    self.visit(part)
            for result in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.visit(result)

    @contextmanager
    def _scope(self, names: set[str]) -> Iterator[None]:
        """Local names; they may not hide a name that is checked otherwise."""
        for name in sorted(names):
            if name in self.modules or (name.startswith("__") and name != "__"):
                self.refuse(f"gives the name '{name}' another meaning", harmful=True)
        before = self.locals
        self.locals = before | names
        try:
            yield
        finally:
            self.locals = before

    def visit_Name(self, node: ast.Name) -> None:
        name = node.id
        if name in self.locals:
            return
        if name in self.modules:
            self._module_member(self.modules[name].split("."))
        elif name in allowed.HARMFUL_BUILTINS:
            self.refuse(f"uses '{name}'", harmful=True)
        elif name not in allowed.BUILTINS:
            self.refuse(f"uses '{name}', which is not known")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == _MARK:
            self.marks += 1
            return  # a reference; where it leads is looked at elsewhere
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name) and base.id in self.modules and base.id not in self.locals:
            self._module_member([*self.modules[base.id].split("."), *parts])
            return
        if "replace" in parts[:-1] or (parts[-1] == "replace" and node is not self._replacing):
            # Text is replaced by text; with one argument, or handed on, it could be the method that moves files.
            self.refuse("uses '.replace', which is not known to be harmless")
        for part in parts:
            self._attribute(part, base)
        self.visit(base)

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_backend_switch(node):
            return
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "replace" and _two_plain(node):
            self._replacing = function
        if re.match(r"(resnet|densenet)\d", ast.unparse(node.func).rpartition(".")[2]) and node.args:
            # Their first argument is "pretrained"; by position it would escape the check of arguments.
            self.refuse("may download files")
        if isinstance(function, ast.Name) and function.id not in self.locals:
            self._check_amount(function.id, node.args)
        for keyword in node.keywords:
            if keyword.arg is None and not _has_plain_keys(keyword.value):
                self.refuse("calls with arguments whose names are known only once it runs")
            if keyword.arg:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ast.unparse(keyword.value)
                self.found += check_argument(keyword.arg, value, self.where)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, item in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                value = item.value if isinstance(item, ast.Constant) else ast.unparse(item)
                self.found += check_argument(key.value, value, self.where)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if endless.grows(node) and endless.is_power(node.left, node.right):
            self.refuse("computes a number that may never be done")
        self.generic_visit(node)

    def _check_amount(self, builtin: str, arguments: list[ast.expr]) -> None:
        """What goes on and on, as far as it is written out; the rest a person can cancel."""
        if builtin == "pow" and len(arguments) > 1 and endless.is_power(*arguments[:2]):
            self.refuse("computes a number that may never be done")
        if builtin == "range":
            self.turns *= endless.turns(arguments)
        if self.turns > endless.MOST_TURNS or (builtin == "iter" and len(arguments) > 1):
            self.refuse("counts so far that it may never be done")

    def visit_Constant(self, node: ast.Constant) -> None:
        if self.live and isinstance(node.value, str):
            self.found += check_path(node.value, self.where)

    def _is_backend_switch(self, node: ast.Call) -> bool:
        # "$setattr(torch.backends.cudnn, 'benchmark', True)" stands in most bundles; nothing else may be set.
        return (
            isinstance(node.func, ast.Name)
            and node.func.id == "setattr"
            and "setattr" not in self.modules
            and len(node.args) == 3
            and not node.keywords
            and ast.unparse(node.args[0]) == "torch.backends.cudnn"
            and self.modules.get("torch") == "torch"
            and isinstance(node.args[1], ast.Constant)
            and node.args[1].value in ("benchmark", "deterministic", "enabled")
            and isinstance(node.args[2], ast.Constant)
        )

    def _module_member(self, parts: list[str]) -> None:
        dotted = ".".join(parts)
        count = _member_count(tuple(parts), live=self.live)
        if count == 0:
            self.found.append(_beyond(self.where, f"uses '{dotted}'", dotted))
            return
        name = parts[count - 1]
        if self.live and allowed.FILE_CLASSES.fullmatch(name):
            self.refuse(f"uses '{dotted}', which reads or writes files")
        if parts[0] == "monai" and allowed.LOADERS.fullmatch(name):
            self.refuse(f"uses '{dotted}' within an expression, where what it loads cannot be checked")
        if self.live and parts[0] == "monai" and name in allowed.DOWNLOADING:
            self.refuse(f"uses '{dotted}', which may download files")
        for part in parts[count:]:
            self._attribute(part, None)

    def _attribute(self, name: str, base: ast.expr | None) -> None:
        if name.startswith("_"):
            # No honest model looks behind Python's curtain.
            self.refuse(f"reaches for '{name}'", harmful=name.startswith("__"))
        elif name == "format":
            constant = base.value if isinstance(base, ast.Constant) else None
            if not isinstance(constant, str) or _reaches(constant):
                self.refuse("builds text in a way that can reach other objects")
        elif name in allowed.ATTRIBUTES or allowed.CONSTANT.fullmatch(name):
            return
        elif self.live or name not in allowed.IDLE_ATTRIBUTES:
            self.refuse(f"uses '.{name}', which is not known to be harmless")


def check_path(text: str, where: str) -> list[Finding]:
    """Paths that leave the bundle's folder or the computer."""
    parts = re.split(r"[/\\]", text)
    if ".." in parts and len(parts) > 1:
        return [Finding(where, "points to a place outside of the model's folder", harmful=True)]
    if text.startswith(("\\\\", "//")) or re.match(r"[a-z]+://", text, re.IGNORECASE):
        return [Finding(where, "points to a place on the network")]
    return []


def _member_count(parts: tuple[str, ...], *, live: bool = False) -> int:
    """How many leading parts of a dotted name are an allowed member; 0 when none is."""
    if parts[0] == "monai":
        return 2 if parts[1:] == ("__version__",) else components.split_member(parts)
    if parts[0] in ("torch", "numpy") and parts[1:] == ("__version__",):
        return 2
    for count in range(len(parts), 1, -1):
        module, name = ".".join(parts[: count - 1]), parts[count - 1]
        if allowed.matches(allowed.MEMBERS.get(module), name):
            return count
        if not live and allowed.matches(allowed.IDLE_MEMBERS.get(module), name):
            return count
    return 0


def _has_plain_keys(node: ast.expr) -> bool:
    """Whether the names of ``**node`` are written out, so that they are looked at like any other."""
    return isinstance(node, ast.Dict) and all(
        isinstance(key, ast.Constant) and isinstance(key.value, str) for key in node.keys
    )


def _two_plain(call: ast.Call) -> bool:
    return len(call.args) in (2, 3) and not call.keywords and not any(isinstance(a, ast.Starred) for a in call.args)


def _reaches(template: str) -> bool:
    """Whether a ``str.format`` template takes attributes or items of its arguments."""
    fields = [(field or "", spec or "") for _, field, spec, _ in string.Formatter().parse(template)]
    return any("." in field or "[" in field or (spec and _reaches(spec)) for field, spec in fields)


def _is_monai_module(dotted: str) -> bool:
    parts = dotted.split(".")
    return parts[0] == "monai" and any(
        "/".join(parts[1:]) == package or "/".join(parts[1:]).startswith(f"{package}/") for package in allowed.PACKAGES
    )


def _beyond(where: str, what: str, dotted: str) -> Finding:
    root = re.split(r"[.(\s]", dotted)[0]
    harmful = root in allowed.HARMFUL_MODULES or bool(allowed.HARMFUL_MEMBERS.search(dotted))
    harmful = harmful or root in allowed.HARMFUL_BUILTINS or "__" in dotted
    return Finding(where, what, harmful)
