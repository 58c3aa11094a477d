"""LightGBM's text format, checked before its reader gets it, which trusts what it reads.

An index out of bounds there crashes the process, and a tree that comes back to itself never ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from audiomatch.errors import brief

MOST_LEAVES = 4_096
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_CONSTANT = {
    "version": ("v3", "v4"),
    "num_class": ("1",),
    "num_tree_per_iteration": ("1",),
    "label_index": ("0",),
    "objective": ("binary sigmoid:1",),
}
_OF_NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child",
             "right_child", "internal_value", "internal_weight", "internal_count")  # fmt: skip
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_INFO = re.compile(rf"none|\[{_NUMBER.pattern}:{_NUMBER.pattern}\]", re.ASCII)
_PARAMETER = re.compile(r"\[\w+: [^\[\]]*\]|end of parameters|parameters:|", re.ASCII)
_IMPORTANCE = re.compile(r"[^=\s]+=\d{1,9}|feature_importances:|", re.ASCII)


def features_of(text: str) -> int:
    """Return the number of features of binary boosters in LightGBM's text format.

    Raises `ValueError` for anything but the trees that `Booster.save_model` writes of numerical
    features, each node of which is reached once.
    """
    trees, end, rest = text.partition("end of trees\n")
    _require(end, "the end of its trees is missing")
    head, *blocks = re.split(r"^(?=Tree=)", trees, flags=re.MULTILINE)
    first, _, facts = head.partition("\n")
    header = _fields(facts)
    _require(first == "tree", "it does not begin with 'tree'")
    for name, allowed in _CONSTANT.items():
        _require(header.get(name) in allowed, f"{name} must be {allowed[-1]!r}")
    count = len(header.get("feature_names", "").split(" "))
    _require(header.get("max_feature_idx") == str(count - 1), "max_feature_idx is another")
    infos = header.get("feature_infos", "").split(" ")
    _require(len(infos) == count and all(map(_INFO.fullmatch, infos)), "feature_infos are none")
    sizes = [str(len(block.encode())) for block in blocks]
    _require(header.get("tree_sizes", "").split() == sizes, "tree_sizes are others")
    for position, block in enumerate(blocks):
        try:
            _check_tree(_fields(block), position, count)
        except ValueError as error:
            raise ValueError(f"tree {position}: {error}") from None
    _check_rest(rest)
    return count


def _check_rest(rest: str) -> None:
    importances, _, parameters = rest.partition("\nparameters:\n")
    parameters, _, _for_pandas = parameters.partition("\npandas_categorical:")
    _require(
        all(map(_IMPORTANCE.fullmatch, importances.split("\n")))
        and all(map(_PARAMETER.fullmatch, parameters.split("\n")))
        and _for_pandas in ("", "null\n", "[]\n"),
        "what follows its trees is no list of parameters",
    )


def _check_tree(fields: Mapping[str, str], position: int, features: int) -> None:
    _require(fields.get("Tree") == str(position), "has another number")
    leaves = _whole(fields.get("num_leaves", ""), 1, MOST_LEAVES)
    nodes = leaves - 1
    _require(fields.get("num_cat") == "0", "num_cat must be 0")
    _require(fields.get("is_linear", "0") == "0", "is_linear must be 0")
    lists = {name: value.split() for name, value in fields.items()}
    for name, values in lists.items():
        _require(all(map(_NUMBER.fullmatch, values)), f"{name} are no numbers")
    for names, count in ((_OF_NODES, nodes), (_OF_LEAVES, leaves)):
        for name in names:
            found = len(lists.get(name, ()))
            empty = leaves == 1 and name != "leaf_value"
            _require(found == count or (empty and found <= 1), f"{name} must be {count}")
    for value in lists["split_feature"]:
        _whole(value, 0, features - 1)
    for value in lists["decision_type"]:
        _require(_whole(value, 0, 11) % 2 == 0, "decision_type must be of a number")
    sides = lists["left_child"], lists["right_child"]
    children = [[_whole(v, -leaves, nodes - 1) for v in side] for side in sides]
    check_children(children, nodes, leaves)


def check_children(children: Sequence[Sequence[int]], nodes: int, leaves: int) -> None:
    """Raise `ValueError` unless each node and leaf but the root is a child once, after its parent.

    Args:
        children: the left and the right ones of each node: a node, or ~leaf.
        nodes: how many there are.
        leaves: how many there are.
    """
    for side in children:
        for node, child in enumerate(side):
            _require(child < 0 or child > node, "a node comes before its parent")
    found = sorted(child for side in children for child in side)
    _require(found == [*range(-leaves, 0), *range(1, nodes)] or not nodes, "it is no tree")


def _fields(lines: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in filter(None, lines.split("\n")):
        name, equals, value = line.partition("=")
        _require(bool(equals) and name not in fields, f"{brief(line)} is no line of it")
        fields[name] = value
    return fields


def _whole(text: str, least: int, most: int) -> int:
    number = int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else least - 1
    _require(least <= number <= most, f"{brief(text)} is not within {least} and {most}")
    return number


def _require(holds: object, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
