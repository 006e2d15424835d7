"""Pipelines of one small stage, each of which ends, or waits, in another way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kfp import compiler, dsl, kubernetes

#: The stage of each pipeline.
STAGE = "press"
#: What a stage prints before it fails, and its reason.
LOG_LINE, REASON = "reading the pressure gauge", "ValueError: the gauge shows -7 bar"
_ABSENT = "kfp-edge-test-absent"

_FAILS = f"""import sys
print({LOG_LINE!r}, flush=True)
print({REASON!r}, file=sys.stderr, flush=True)
sys.exit(3)"""
_WRITES = """import pathlib, sys
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text('many')"""
_SLEEPS = "import sys, time; print('begins', flush=True); time.sleep(float(sys.argv[1])); print('ends', flush=True)"
_ASKS = "import os, sys; print(os.environ['OUTCOME'], flush=True); sys.exit(os.environ['OUTCOME'] != 'works')"


@dataclass(frozen=True)
class SmallPipelines:
    """Compiles pipelines whose stages run in one image.

    Attributes:
        folder: Where the compiled files go.
        image: The image of the stages, which has Python.
        pull_secret: The Secret with which nodes pull it.
    """

    folder: Path
    image: str
    pull_secret: str

    def sleeping(self, name: str = "sleeping") -> Path:
        """A stage that takes as long as the parameter `seconds` says."""
        run = self._component(_SLEEPS)

        def pipeline(seconds: int = 1) -> None:
            self._configure(run(argument=seconds).set_caching_options(False))

        return self._compile(name, pipeline)

    def failing(self) -> Path:
        """A stage that fails, with a log."""
        return self._compile_task("failing", _FAILS, lambda task: None)

    def failing_until(self, config_map: str) -> Path:
        """A stage that fails until the key `outcome` of a ConfigMap is `works`."""
        return self._compile_task(
            "failing-until-fixed",
            _ASKS,
            lambda task: kubernetes.use_config_map_as_env(task, config_map, {"outcome": "OUTCOME"}),
        )

    def failing_driver(self) -> Path:
        """A stage whose limit, which another stage computes, is no quantity: KFP's driver fails to prepare it."""
        image, run = self.image, self._component(_FAILS)

        def compute(result: dsl.OutputPath(str)):  # type: ignore[no-untyped-def, valid-type]
            return dsl.ContainerSpec(image=image, command=["python3", "-c", _WRITES], args=[result])

        def pipeline() -> None:
            computed = dsl.container_component(compute)().set_caching_options(False)
            self._configure(computed)
            task = run().set_caching_options(False)
            self._configure(task)
            task.set_cpu_limit(computed.outputs["result"])

        return self._compile("failing-driver", pipeline)

    def failing_one_of_two(self) -> Path:
        """Two nested pipelines with a stage of one name each, of which one fails."""
        works, fails = self._component(_SLEEPS), self._component(_FAILS)

        def left() -> None:
            self._configure(works(argument=1).set_caching_options(False))

        def right() -> None:
            self._configure(fails().set_caching_options(False))

        nested = [dsl.pipeline(name=function.__name__)(function) for function in (left, right)]

        def pipeline() -> None:
            for each in nested:
                each()

        return self._compile("failing-one-of-two", pipeline)

    def unknown_image(self) -> Path:
        """A stage with an image that the registry does not have."""
        repository = self.image.partition("@")[0]
        image = f"{repository.rpartition(':')[0] if ':' in repository.rpartition('/')[2] else repository}:{_ABSENT}"
        other = SmallPipelines(self.folder, image, self.pull_secret)
        return other._compile_task("unknown-image", _FAILS, lambda task: None)

    def no_node(self) -> Path:
        """A stage that no node can run."""
        return self._compile_task(
            "no-node", _FAILS, lambda task: kubernetes.add_node_selector(task, "kfp-edge.io/test", _ABSENT)
        )

    def missing_secret(self) -> Path:
        """A stage that reads a Secret that is not there."""
        return self._compile_task(
            "missing-secret", _FAILS, lambda task: kubernetes.use_secret_as_env(task, _ABSENT, {"key": "KEY"})
        )

    def missing_config_map(self) -> Path:
        """A stage that mounts a ConfigMap that is not there."""
        return self._compile_task(
            "missing-config-map", _FAILS, lambda task: kubernetes.use_config_map_as_volume(task, _ABSENT, "/absent")
        )

    def missing_claim(self) -> Path:
        """A stage that mounts a claim that is not there."""
        return self._compile_task("missing-claim", _FAILS, lambda task: kubernetes.mount_pvc(task, _ABSENT, "/absent"))

    def _compile_task(self, name: str, code: str, configure: Callable[[dsl.PipelineTask], object]) -> Path:
        run = self._component(code)

        def pipeline() -> None:
            task = run().set_caching_options(False)
            configure(task)
            self._configure(task)

        return self._compile(name, pipeline)

    def _component(self, code: str) -> Callable[..., dsl.PipelineTask]:
        image = self.image

        def press(argument: int = 0):  # type: ignore[no-untyped-def]
            return dsl.ContainerSpec(image=image, command=["python3", "-c", code], args=[argument])

        component: Callable[..., dsl.PipelineTask] = dsl.container_component(press)
        return component

    def _configure(self, task: dsl.PipelineTask) -> None:
        task.set_cpu_request("50m").set_cpu_limit("500m").set_memory_request("64Mi").set_memory_limit("256Mi")
        kubernetes.set_image_pull_secrets(task, [self.pull_secret])

    def _compile(self, name: str, function: Callable[..., None]) -> Path:
        path = self.folder / f"kfp-edge-test-{name}.yaml"
        compiler.Compiler().compile(dsl.pipeline(name=path.stem)(function), str(path))
        return path
