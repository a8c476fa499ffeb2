"""What a Python file does, as a digest."""

import ast
import hashlib


def code_digest(source: bytes, name: str = "<unknown>") -> str:
    """SHA-256 (hex) of what a Python file does, by its source: neither its comments, its docstrings nor its layout.

    name: what errors call the file.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source, name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str)
