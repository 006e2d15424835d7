"""The steps of a long stage are shown while it runs, also where no line can be overwritten."""

from pathlib import Path

from kfp import dsl

from kfp_edge.local import runner
from kfp_edge.local.steps import StepLines
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling.compiler import compile_to_yaml


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def search(trials: int):
    from kfp_edge.runtime.stage import log_progress, stage

    with stage("search"):
        for trial in range(1, trials + 1):
            log_progress(f"trial {trial} of {trials}")


@dsl.pipeline(name="searching")
def searching(trials: int = 2):
    search(trials=trials)


def test_a_run_reports_the_steps_of_its_stage(tmp_path: Path) -> None:
    compiled = CompiledPipeline(compile_to_yaml(searching))
    steps: list[str] = []
    lines: list[str] = []
    every, rare = StepLines(interval=0), StepLines(interval=3600)

    def keep(progress: runner.RunProgress) -> None:
        steps.append(progress.step)
        lines.extend(filter(None, [every.take(progress), rare.take(progress)]))

    runner.run(compiled, compiled.arguments({}), tmp_path, keep)
    assert [step for step in steps if step] == ["trial 1 of 2", "trial 2 of 2"]
    assert steps[-1] == ""
    assert lines == ["search: trial 1 of 2", "search: trial 2 of 2"]
