"""A sweep that is watched: its screens, from the first to the last."""

from pathlib import Path

from harness import config
from harness.rundir import SweepDir
from harness.slurm import watch
from harness.spec import expand


def test_the_last_screen_has_the_point_that_was_saved_while_one_was_drawn(tmp_path, monkeypatch):
    sweep = config.load(Path("quickstart-emulator"))
    results = SweepDir(tmp_path)
    results.claim(config.dump(sweep))
    *others, last = (results.run(point.run.key).point(point.folder) for point in expand(sweep))
    for point in others:
        point.finish({"invalid": [], "warnings": []})

    def answers_late(folder: Path) -> str:
        last.finish({"invalid": [], "warnings": []})
        return ""

    monkeypatch.setattr(watch, "PAUSE_S", 0.0)
    monkeypatch.setattr(watch.queue, "text", answers_late)
    *_, screen = watch.watched(tmp_path)

    assert f"{len(others) + 1} done" in screen
