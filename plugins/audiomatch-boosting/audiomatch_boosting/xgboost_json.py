"""XGBoost's JSON, checked before its reader gets it, which trusts what it reads.

An index out of bounds there crashes the process, and a tree that comes back to itself never ends.
The layout is that of XGBoost's doc/model.schema.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MOST_NODES = 2**17  # of the deepest tree that the options allow
_ROOT = 2**31 - 1  # stands for the parent of the root
Count = Annotated[str, Field(pattern=r"^\d{1,6}$")]
Nothing = Annotated[list[Any], Field(max_length=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _TreeSize(_Part):
    num_deleted: Literal["0"]
    num_feature: Count
    num_nodes: Count
    size_leaf_vector: Literal["0", "1"]


class _Tree(_Part):
    id: int
    tree_param: _TreeSize
    left_children: list[int]
    right_children: list[int]
    parents: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    base_weights: list[float]
    default_left: list[bool] | list[Annotated[int, Field(ge=0, le=1)]]
    split_type: list[Literal[0]]
    loss_changes: list[float]
    sum_hessian: list[float]
    categories: Nothing
    categories_nodes: Nothing
    categories_segments: Nothing
    categories_sizes: Nothing

    @model_validator(mode="after")
    def _is_a_tree(self) -> _Tree:
        n = len(self.parents)
        if self.tree_param.num_nodes != str(n) or not 0 < n <= MOST_NODES:
            raise ValueError("another number of nodes")
        for name, values in self:
            if isinstance(values, list) and len(values) != n and not name.startswith("categories"):
                raise ValueError(f"{name} must be {n}")
        found = {0: _ROOT}
        for node, pair in enumerate(zip(self.left_children, self.right_children, strict=True)):
            for child in pair if pair != (-1, -1) else ():
                if not node < child < n or child in found:
                    raise ValueError(f"it is no tree at node {node}")
                found[child] = node
        if [found.get(node) for node in range(n)] != self.parents:
            raise ValueError("parents are others")
        if not all(0 <= split < int(self.tree_param.num_feature) for split in self.split_indices):
            raise ValueError("splits on a feature that it has not")
        return self


class _ModelSize(_Part):
    num_parallel_tree: Literal["0", "1"]
    num_trees: Count


class _Categories(_Part):
    enc: Nothing
    feature_segments: Nothing
    sorted_idx: Nothing


class _Trees(_Part):
    gbtree_model_param: _ModelSize
    iteration_indptr: list[int]
    tree_info: list[Literal[0]]
    trees: list[_Tree]
    cats: _Categories | None = None


class _Booster(_Part):
    name: Literal["gbtree"]
    model: _Trees


class _LearnerSize(_Part):
    base_score: Annotated[str, Field(pattern=r"^\[?5E-1\]?$")]
    boost_from_average: Literal["0", "1"]
    num_class: Literal["0"]
    num_feature: Count
    num_target: Literal["1"]


class _Weight(_Part):
    scale_pos_weight: Literal["1"]


class _Objective(_Part):
    name: Literal["binary:logistic"]
    reg_loss_param: _Weight


class _Learner(_Part):
    attributes: dict[str, str]
    feature_names: list[str]
    feature_types: list[Literal["float"]]
    gradient_booster: _Booster
    learner_model_param: _LearnerSize
    objective: _Objective

    @model_validator(mode="after")
    def _fits(self) -> _Learner:
        model, features = self.gradient_booster.model, self.learner_model_param.num_feature
        n = len(model.trees)
        if features != str(len(set(self.feature_names))):
            raise ValueError("feature_names are others")
        if any(tree.tree_param.num_feature != features for tree in model.trees):
            raise ValueError("a tree is of another number of features")
        if model.gbtree_model_param.num_trees != str(n) or len(model.tree_info) != n:
            raise ValueError("another number of trees")
        if model.iteration_indptr != list(range(n + 1)):
            raise ValueError("more than a tree a round")
        if any(tree.id != place for place, tree in enumerate(model.trees)):
            raise ValueError("its trees have other numbers")
        return self


class _Model(_Part):
    learner: _Learner
    version: Annotated[list[Annotated[int, Field(ge=0, le=999)]], Field(min_length=3, max_length=3)]


def checked_json(text: str) -> bytearray:
    """Return the JSON of a binary `gbtree` model, written anew, for `Booster.load_model`.

    Raises `ValueError` for any other.
    """
    try:
        content = _Model.model_validate_json(text).model_dump(exclude_unset=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in problem["loc"])
        raise ValueError(f"{where}: {problem['msg'].removeprefix('Value error, ')}") from None
    return bytearray(json.dumps(content, separators=(",", ":")).encode())
