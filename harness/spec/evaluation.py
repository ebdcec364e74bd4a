"""What answers are held to beside each other: a task of lm-eval, and the least that it may give."""

from typing import Annotated

from pydantic import Field

from harness.spec.base import Positive, Spec, Text
from harness.spec.facts import Model

DEFAULT_FLOOR = 0.90
"""Least exact match where a model has none of its own: InferenceX, utils/evals/thresholds.yaml."""

Share = Annotated[float, Field(ge=0, le=1)]


class Evaluation(Spec):
    """One task, put to each arm.

    Attributes:
        task: by lm-eval's name, or the YAML file of one.
        floor: least exact match, strict and flexible alike; None is the model's own.
        questions: how many of the task's are put; None puts all.
        shots: examples in front of each; None is the task's own.
        venv: folder of a virtual environment that holds lm-eval; None is the one that runs this.
    """

    task: Text = "gsm8k"
    floor: Share | None = None
    questions: Positive | None = None
    shots: Annotated[int, Field(ge=0)] | None = None
    venv: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether the task is a file of the user's."""
        return self.task.endswith(".yaml")

    def floor_for(self, model: Model) -> float:
        """The least that a model must reach."""
        return model.floors.get(self.task, DEFAULT_FLOOR) if self.floor is None else self.floor
