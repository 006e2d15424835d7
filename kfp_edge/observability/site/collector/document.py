"""A collector's configuration as the collector reads it: one file or several, whose mappings are merged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.check.findings import Finding, Severity
from kfp_edge.gitops.yaml_text import find_node, get, items, parse_node, scalar
from kfp_edge.observability.site.collector.components import ALIASES, SECTIONS

#: What the collector reads at its start: `${env:NAME}`, `${file:PATH}`, with a default after `:-`.
VARIABLE = "${"


@dataclass(frozen=True)
class Entry:
    """A value of a configuration and where it is.

    Attributes:
        path: Its keys, as people write them: `exporters.otlp_http`.
        file: The file, for findings.
        key: The node of its key, or of its item in a list.
        node: The value; None where nothing is written.
        merged: The keys of a mapping that several files have together; None where it is of one.
    """

    path: str
    file: str
    key: Node
    node: Node | None
    merged: "tuple[Entry, ...] | None" = None

    @property
    def name(self) -> str:
        """The text of the key."""
        return scalar(self.key) or ""

    @property
    def type_name(self) -> str:
        """Of a component, the part of its name before the slash, by its present name."""
        name = self.name.partition("/")[0].strip()
        return ALIASES.get(name, name)

    def entries(self) -> Iterator["Entry"]:
        """Yield the keys of a mapping."""
        if self.merged is not None:
            yield from self.merged
            return
        for key, value in _pairs(self.node):
            yield Entry(f"{self.path}.{scalar(key)}", self.file, key, value)

    def get(self, *keys: str) -> "Entry | None":
        """Return the entry at some keys below this one, None where there is none."""
        entry: Entry | None = self
        for name in keys:
            entry = next((each for each in entry.entries() if each.name == name), None) if entry else None
        return entry

    def text(self, *keys: str) -> str | None:
        """Return the text of a plain value below this one, None where there is none."""
        entry = self.get(*keys)
        return scalar(entry.node) if entry else None

    def is_true(self, *keys: str, default: bool = False) -> bool:
        """Whether a value below is true; a variable counts as what the reader hopes for."""
        text = self.text(*keys)
        return default if text is None else text.casefold() == "true" or VARIABLE in text

    def merge(self, later: "Entry") -> "Entry":
        """Return what is left of this value where a later file has another one: of mappings, the keys of both."""
        if not (isinstance(self.node, MappingNode) and isinstance(later.node, MappingNode)):
            return later
        keys = {each.name: each for each in self.entries()}
        for each in later.entries():
            keys[each.name] = keys[each.name].merge(each) if each.name in keys else each
        return replace(self, merged=tuple(keys.values()))

    def references(self) -> list["Entry"]:
        """Return the items of a list of names."""
        return [Entry(self.path, self.file, item, item) for item in items(self.node)]

    def finding(self, message: str, severity: Severity = "error") -> Finding:
        """Return what is wrong with this value."""
        return Finding(self.file, self.key.start_mark.line + 1, message, severity)


@dataclass(frozen=True)
class Configuration:
    """What the files say together.

    Attributes:
        sections: The components by section and name.
        pipelines: By name.
        extensions: The list of enabled extensions, None if there is none.
        service: The entry of each file.
        unknown: Keys at the top that the collector does not know.
        repeated: Keys that a mapping of one file has a second time.
        file: The first file.
    """

    file: str
    sections: dict[str, dict[str, Entry]] = field(default_factory=lambda: {name: {} for name in SECTIONS})
    pipelines: dict[str, Entry] = field(default_factory=dict)
    extensions: Entry | None = None
    service: tuple[Entry, ...] = ()
    unknown: tuple[Entry, ...] = ()
    repeated: tuple[Entry, ...] = ()

    def components(self, section: str) -> Iterator[Entry]:
        """Yield the components of a section."""
        yield from self.sections[section].values()

    @property
    def enabled(self) -> list[Entry]:
        """The extensions that the service starts."""
        return self.extensions.references() if self.extensions else []

    def pipelines_of(self, kind: str, name: str) -> Iterator[str]:
        """Yield the signal of each pipeline that has a component among its receivers, processors or exporters."""
        for pipeline in self.pipelines.values():
            entry = pipeline.get(kind)
            if entry and any(each.name == name for each in entry.references()):
                yield pipeline.type_name


def read_configuration(texts: Sequence[tuple[str, str]]) -> Configuration:
    """Read files as the collector does, that is given several times `--config`: mappings are merged, lists replaced.

    Args:
        texts: Name and text of each file: a configuration, or an OpenTelemetryCollector, whose `spec.config` it is.

    Raises:
        GitError: a text is not valid YAML, with the line.
        ParameterError: a text is another object of Kubernetes.
    """
    configuration = Configuration(texts[0][0])
    for file, text in texts:
        document = parse_node(text, file)
        kind = scalar(get(document, "kind"))
        if kind not in (None, "OpenTelemetryCollector"):
            raise ParameterError(
                f"{file} is a {kind} and no configuration of a collector; name the file that the collector gets with "
                "--config, or an OpenTelemetryCollector."
            )
        if kind:
            document = find_node(document, ("spec", "config"))
            if scalar(document) is not None:
                raise ParameterError(
                    f"{file} has its configuration as a text, as apiVersion opentelemetry.io/v1alpha1 wants it; write "
                    "it as a mapping, for v1beta1."
                )
        try:
            configuration = _merge(configuration, file, document)
        except RecursionError:
            raise GitError(f"{file} is not valid YAML: an anchor is named in its own value.") from None
    return configuration


def _merge(configuration: Configuration, file: str, document: Node | None) -> Configuration:
    service, unknown, repeated = (
        [*each] for each in (configuration.service, configuration.unknown, configuration.repeated)
    )
    extensions = configuration.extensions
    names: set[str] = set()
    for key, value in _pairs(document):
        entry = Entry(scalar(key) or "", file, key, value)
        repeated += [entry] * (entry.name in names) + [*_repeated_keys(entry)]
        names.add(entry.name)
        if entry.name == "service":
            service.append(entry)
            extensions = entry.get("extensions") or extensions
            pipelines = entry.get("pipelines")
            _merge_entries(configuration.pipelines, pipelines)
        elif entry.name in configuration.sections:
            _merge_entries(configuration.sections[entry.name], entry)
        else:
            unknown.append(entry)
    return Configuration(
        configuration.file,
        configuration.sections,
        configuration.pipelines,
        extensions,
        tuple(service),
        tuple(unknown),
        tuple(repeated),
    )


def _merge_entries(known: dict[str, Entry], mapping: Entry | None) -> None:
    for each in mapping.entries() if mapping else ():
        known[each.name] = known[each.name].merge(each) if each.name in known else each


def _repeated_keys(entry: Entry) -> Iterator[Entry]:
    """Yield each key that a mapping has a second time, at any depth; the collector refuses such a file."""
    seen: set[str] = set()
    for each in entry.entries():
        if each.name in seen and isinstance(each.key, ScalarNode):
            yield each
        seen.add(each.name)
        yield from _repeated_keys(each)


def _pairs(node: Node | None) -> list[tuple[Node, Node]]:
    """Return keys and values of a mapping; a merge key (`<<`) stands for the mapping that it names."""
    if not isinstance(node, MappingNode):
        return []
    pairs: list[tuple[Node, Node]] = []
    for key, value in node.value:
        pairs += _pairs(value) if scalar(key) == "<<" else [(key, value)]
    return pairs
