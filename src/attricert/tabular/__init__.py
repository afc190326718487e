"""Tables: SHAP values of any model, smoothed over its continuous columns in standard deviations, and certified."""

from typing import TYPE_CHECKING

from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.tabular.columns import TableColumn, TableColumns
    from attricert.tabular.standardized import Standardized

__all__ = ["Standardized", "TableColumn", "TableColumns"]

__getattr__, __dir__ = lazily(__name__, {"columns": ("TableColumn", "TableColumns"), "standardized": ("Standardized",)})
