"""The metrics of a server that count rows by bins (serving/README.md, "Metrics"), and those with its training."""

from dataclasses import dataclass

from kfp_edge.drift.counts import Kind, Variable

BUCKET = "le"


@dataclass(frozen=True)
class Family:
    """One metric that counts rows.

    Attributes:
        name: As PromQL selects it.
        kind: Whether it is about features or outputs.
        variable: The label that names the feature or the output; empty if there is one output only.
        bin: The label that names the bin; empty if there is one bin only, of missing values or unknown categories.
    """

    name: str
    kind: Kind
    variable: str
    bin: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that differ between the series of one server and model."""
        return tuple(label for label in (self.variable, self.bin) if label)

    def bin_of(self, labels: dict[str, str]) -> str:
        """Return the bin of a series; bounds are written in one way, since "100" and "100.0" are the same."""
        label = labels.get(self.bin, "")
        return repr(float(label)) if self.bin == BUCKET else label

    def variable_of(self, labels: dict[str, str]) -> Variable:
        """Return what a series is about; the output with the class of a row is called `class`."""
        return Variable(self.kind, labels.get(self.variable, "") if self.variable else "class")


VALUES = Family("kfp_edge_input_feature_bucket", Kind.FEATURE, "feature", BUCKET)
CATEGORIES = Family("kfp_edge_input_category_total", Kind.FEATURE, "feature", "category")
UNKNOWN_CATEGORIES = Family("kfp_edge_input_unknown_category_total", Kind.FEATURE, "feature", "")
MISSING_VALUES = Family("kfp_edge_input_missing_total", Kind.FEATURE, "feature", "")
OUTPUTS = Family("kfp_edge_output_value_bucket", Kind.OUTPUT, "output", BUCKET)
MISSING_OUTPUTS = Family("kfp_edge_output_missing_total", Kind.OUTPUT, "output", "")
CLASSES = Family("kfp_edge_output_class_total", Kind.OUTPUT, "", "class")
COUNTED = (VALUES, CATEGORIES, UNKNOWN_CATEGORIES, MISSING_VALUES, OUTPUTS, MISSING_OUTPUTS, CLASSES)

#: Rows of training (of held-out rows for outputs), in the form of what is counted.
REFERENCES = {
    VALUES: "kfp_edge_input_feature_reference_bucket",
    CATEGORIES: "kfp_edge_input_category_reference",
    MISSING_VALUES: "kfp_edge_input_missing_reference",
    OUTPUTS: "kfp_edge_output_value_reference_bucket",
    CLASSES: "kfp_edge_output_class_reference",
}
