"""What the collector refuses at its start, or passes over: names that lead nowhere, keys that do not exist."""

from collections.abc import Iterator

from kfp_edge.fleet.check.findings import Finding
from kfp_edge.observability.site.collector.components import (
    SECTIONS,
    Distribution,
    Keys,
    find_component,
    names_of,
)
from kfp_edge.observability.site.collector.document import VARIABLE, Configuration, Entry
from kfp_edge.suggestions import did_you_mean

_SIGNALS = ("metrics", "traces", "logs", "profiles")
_SERVICE_KEYS = ("extensions", "pipelines", "telemetry")
_PIPELINE_SECTIONS = ("receivers", "processors", "exporters")


def check_wiring(configuration: Configuration, distribution: Distribution) -> Iterator[Finding]:
    """Yield what does not fit together in a configuration.

    Args:
        configuration: What the files say.
        distribution: Which components there are.
    """
    for entry in configuration.unknown:
        known = (*SECTIONS, "service")
        yield entry.finding(f"has the key {entry.name}; {did_you_mean(entry.name, known)}known are {', '.join(known)}.")
    for entry in configuration.repeated:
        yield entry.finding(f"{entry.path} is there twice; keep one of them.")
    for section in SECTIONS:
        for component in configuration.components(section):
            yield from _check_component(component, section, distribution)
    yield from _check_service(configuration)
    for pipeline in configuration.pipelines.values():
        yield from _check_pipeline(configuration, pipeline)
    yield from _check_extensions(configuration)
    yield from _check_unused(configuration)


def _check_component(entry: Entry, section: str, distribution: Distribution) -> Iterator[Finding]:
    if entry.name.endswith("/"):
        yield entry.finding(f"{entry.path} has no name behind the slash, with which the collector does not start.")
    component = find_component(section, entry.type_name)
    known = names_of(section, distribution)
    if component is None or entry.type_name not in known:
        hint = did_you_mean(entry.type_name, known)
        has = ", ".join(known) or "none"
        yield entry.finding(
            f"{entry.path} is no component of the {distribution} distribution; {hint}its {section} are {has}."
        )
        return
    yield from _check_keys(entry, component.keys)


def _check_keys(entry: Entry, keys: Keys) -> Iterator[Finding]:
    for each in entry.entries():
        if each.name not in keys:
            yield each.finding(
                f"{entry.path} has the key {each.name}, with which the collector does not start; "
                f"{did_you_mean(each.name, keys)}remove it."
            )
        elif (inner := keys[each.name]) is not None:
            yield from _check_keys(each, inner)


def _check_service(configuration: Configuration) -> Iterator[Finding]:
    for service in configuration.service:
        for each in service.entries():
            if each.name not in _SERVICE_KEYS:
                hint = did_you_mean(each.name, _SERVICE_KEYS)
                yield each.finding(f"service has the key {each.name}; {hint}known are {', '.join(_SERVICE_KEYS)}.")
    if not configuration.pipelines:
        yield Finding(configuration.file, 0, "has no service.pipelines, so that nothing is collected; add one.")


def _check_pipeline(configuration: Configuration, pipeline: Entry) -> Iterator[Finding]:
    if pipeline.type_name not in _SIGNALS:
        yield pipeline.finding(
            f"the pipeline {pipeline.name} has no known signal; {did_you_mean(pipeline.type_name, _SIGNALS)}"
            f"its name begins with one of {', '.join(_SIGNALS)}."
        )
        return
    for each in pipeline.entries():
        if each.name not in _PIPELINE_SECTIONS:
            yield each.finding(
                f"the pipeline {pipeline.name} has the key {each.name}; {did_you_mean(each.name, _PIPELINE_SECTIONS)}"
                f"known are {', '.join(_PIPELINE_SECTIONS)}."
            )
    for section in ("receivers", "exporters"):
        entry = pipeline.get(section)
        if entry is None or not entry.references():
            yield pipeline.finding(f"the pipeline {pipeline.name} has no {section}; name at least one.")
    for section in _PIPELINE_SECTIONS:
        entry = pipeline.get(section)
        seen: set[str] = set()
        for reference in entry.references() if entry else ():
            yield from _check_reference(configuration, pipeline, section, reference)
            if reference.name in seen:
                yield reference.finding(
                    f"the pipeline {pipeline.name} names {reference.name} twice; the collector does not start with it."
                )
            seen.add(reference.name)


def _check_reference(
    configuration: Configuration, pipeline: Entry, section: str, reference: Entry
) -> Iterator[Finding]:
    if VARIABLE in reference.name:
        return
    connectors = configuration.sections["connectors"] if section != "processors" else {}
    defined = {**configuration.sections[section], **connectors}
    if reference.name not in defined:
        yield reference.finding(
            f"the pipeline {pipeline.name} uses {reference.name}, which {section} does not define; "
            f"{did_you_mean(reference.name, defined)}define it there, or take it out."
        )
        return
    component = find_component(section, reference.type_name)
    if component is not None and pipeline.type_name not in component.signals:
        works_in = ", ".join(sorted(component.signals))
        yield reference.finding(f"{reference.name} is in a pipeline for {pipeline.type_name}; it works for {works_in}.")


def _check_extensions(configuration: Configuration) -> Iterator[Finding]:
    defined = configuration.sections["extensions"]
    for reference in configuration.enabled:
        if reference.name not in defined and VARIABLE not in reference.name:
            yield reference.finding(
                f"service.extensions names {reference.name}, which extensions does not define; "
                f"{did_you_mean(reference.name, defined)}define it there, or take it out."
            )
    enabled = {each.name for each in configuration.enabled}
    for section in SECTIONS:
        for component in configuration.components(section):
            for used in _used_extensions(component):
                name = used.name
                if name in enabled or VARIABLE in name:
                    continue
                if name in defined:
                    yield used.finding(
                        f"{used.path} names the extension {name}, which is not started; add it to service.extensions."
                    )
                else:
                    yield used.finding(
                        f"{used.path} names the extension {name}, which is not defined; "
                        f"{did_you_mean(name, defined)}define it in extensions and name it in service.extensions."
                    )


def _used_extensions(component: Entry) -> Iterator[Entry]:
    """Yield the names of extensions that a component uses, with the path where it does."""
    for each in component.entries():
        if each.name in ("storage", "authenticator") and each.node is not None and component.type_name:
            yield Entry(each.path, each.file, each.node, each.node)
        elif each.name in ("sending_queue", "auth", "protocols", "http", "grpc"):
            yield from _used_extensions(each)


def _check_unused(configuration: Configuration) -> Iterator[Finding]:
    for section in (*_PIPELINE_SECTIONS, "connectors"):
        kinds = ("receivers", "exporters") if section == "connectors" else (section,)
        for entry in configuration.components(section):
            if not any(signal for kind in kinds for signal in configuration.pipelines_of(kind, entry.name)):
                yield entry.finding(f"{entry.path} is in no pipeline, so that it has no effect.", "warning")
    enabled = {each.name for each in configuration.enabled}
    for entry in configuration.components("extensions"):
        if entry.name not in enabled:
            yield entry.finding(f"{entry.path} is not in service.extensions, so that it is not started.", "warning")
