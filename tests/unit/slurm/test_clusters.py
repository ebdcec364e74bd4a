"""A site's file, and what sbatch is asked for because of it."""

from pathlib import Path

import pytest

from harness import config
from harness.errors import ClusterError, ConfigError, UserError
from harness.slurm.manifest import Manner, elements_of
from harness.slurm.sbatch_options import answer_options, array_option, element_options
from harness.slurm.submit import commands
from harness.spec import AnswerJob, Cluster, Container, EngineSpec, Evaluation, GpuNodes, Ladder

SWEEP = Path("sweeps/x.yaml")
FOLDER = Path("/shared/results/x")


def cluster_with(**nodes) -> Cluster:
    return Cluster(name="site", label="Site", gpus={"h100": GpuNodes(**nodes)}, source="a test")


@pytest.fixture
def sweep():
    return config.load(Path("quickstart-emulator"))


@pytest.mark.parametrize("name", ["example-nvidia", "example-amd", "slurm-box"])
def test_the_packages_clusters_are_good(name):
    assert config.load_cluster(name, SWEEP).gpus


def test_a_fault_of_a_cluster_says_where_it_stands_and_what_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("site.yaml").write_text("label: Site\ngpus:\n  h100: {partitoin: h100, ask: grse}\nsource: a test\n")

    with pytest.raises(ConfigError) as caught:
        config.load_cluster("./site.yaml", SWEEP)

    assert [
        "site.yaml:3:10: gpus.h100.partitoin: unknown key; did you mean 'partition'?",
        "site.yaml:3:32: gpus.h100.ask: must be 'gres', 'gpus-per-node' or 'none', got grse",
    ] == str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("--clusters=x", "can't be followed"),
        ("--clus=x", "can't be followed"),
        ("-Mx", "can't be followed"),
        ("--job-name=x", "are found by the names"),
        ("-J", "are found by the names"),
    ],
)
@pytest.mark.parametrize("place", ["gpus: {h100: {extra: [WORD]}}", "gpus: {h100: {}}\nanswer: {extra: [WORD]}"])
def test_a_site_can_t_hide_jobs_from_squeue(tmp_path, word, why, place):
    site = tmp_path / "site.yaml"
    site.write_text(f"label: Site\n{place.replace('WORD', word)}\nsource: a test\n")

    with pytest.raises(ConfigError, match=rf"site\.yaml:\d:\d+: .*extra: {word}: .*{why}"):
        config.load_cluster(str(site), SWEEP)


@pytest.mark.parametrize("word", ["--cluster-constraint=x", "--mail-user=x", "--comment=x"])
def test_other_words_of_sbatch_are_passed_on(sweep, word):
    assert word in options(sweep, extra=(word,))


def test_a_cluster_is_looked_for_beside_the_sweep_and_then_in_the_package(tmp_path):
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters" / "mine.yaml").write_text("label: Mine\ngpus: {h100: {}}\nsource: a test\n")

    assert "Mine" == config.load_cluster("mine", tmp_path / "sweeps" / "x.yaml").label
    with pytest.raises(ConfigError, match="has no file; did you mean 'example-nvidia'"):
        config.load_cluster("example-nvidai", tmp_path / "sweeps" / "x.yaml")


def options(sweep, **nodes) -> list[str]:
    cluster = cluster_with(**nodes)
    return element_options(elements_of(sweep, cluster, Manner())[0], cluster, FOLDER)


@pytest.mark.parametrize(
    ("nodes", "asked"),
    [
        ({"type": "h100"}, "--gres=gpu:h100:1"),
        ({}, "--gres=gpu:1"),
        ({"ask": "gpus-per-node", "type": "h100"}, "--gpus-per-node=h100:1"),
        ({"partition": "p"}, "--partition=p"),
        ({"account": "a"}, "--account=a"),
        ({"qos": "q"}, "--qos=q"),
        ({"constraint": "c&d"}, "--constraint=c&d"),
        ({"exclude": ("n1", "n2")}, "--exclude=n1,n2"),
        ({"extra": ("--reservation=r",)}, "--reservation=r"),
        ({}, "--exclusive"),
        ({}, "--output=/shared/results/x/slurm/%A_%a.log"),
        ({}, "--requeue"),
    ],
)
def test_what_a_site_wants_stands_on_the_command_line(sweep, nodes, asked):
    assert asked in options(sweep, **nodes)


def test_a_site_that_gives_whole_nodes_is_asked_for_no_gpus(sweep):
    assert not [word for word in options(sweep, ask="none") if "gpu" in word]


def test_a_shared_node_is_asked_for_only_by_name(sweep):
    assert "--exclusive" not in options(sweep, exclusive=False)


def test_the_time_is_the_plans_longest_guess_and_the_sites_limit_at_most(sweep):
    [long] = elements_of(sweep, cluster_with(), Manner())
    [short] = elements_of(sweep, cluster_with(time_limit_min=3), Manner())
    [own] = elements_of(sweep, cluster_with(), Manner(time_min=90))

    assert (3, 90) == (short.time_min, own.time_min)
    assert 5 < long.time_min < 60
    assert short.notice_s <= 90


def test_a_time_that_nobody_can_guess_has_to_be_said(sweep):
    model = sweep.model.model_copy(update={"weight_gb": {}})

    with pytest.raises(UserError, match=r"how long a job takes is not known .*give --time"):
        elements_of(sweep.model_copy(update={"model": model}), cluster_with(), Manner())


def test_a_gpu_that_the_site_lacks_is_named(sweep):
    cluster = Cluster(name="site", label="Site", gpus={"b200": GpuNodes()}, source="a test")

    with pytest.raises(UserError, match="cluster site: gpus has no h100; there are b200"):
        elements_of(sweep, cluster, Manner())


def test_virtual_time_has_no_answers_to_look_at(sweep, tmp_path):
    asked = sweep.model_copy(update={"accuracy": Evaluation()})

    with pytest.raises(UserError, match=r"--virtual: accuracy puts a task to a server"):
        commands(asked, tmp_path, cluster_with(), Manner(in_virtual_time=True))


def test_an_image_needs_a_site_with_containers(sweep):
    with_image = sweep.model_copy(update={"engine": EngineSpec(name="emulator", image="some/image")})

    with pytest.raises(UserError, match=r"gpus\.h100 has no container"):
        elements_of(with_image, cluster_with(), Manner())
    assert elements_of(with_image, cluster_with(container=Container(runtime="pyxis")), Manner())


def test_gpus_that_one_node_lacks_are_spread_evenly(sweep):
    wide = sweep.model_copy(update={"tp": 16})
    uneven = sweep.model_copy(update={"tp": 9})
    element = elements_of(wide, cluster_with(), Manner())[0]

    assert (2, 8) == (element.nodes, element.gpus_per_node)
    with pytest.raises(UserError, match="9 GPUs do not spread evenly over 2 nodes of 8"):
        elements_of(uneven, cluster_with(), Manner())


def test_an_element_is_a_launch_of_a_pair_and_arms_take_turns(sweep):
    elements = elements_of(sweep.model_copy(update={"launches": 3}), cluster_with(), Manner())
    first_arms = ["off" if "-off-" in element.points[0] else "mtp" for element in elements]

    assert [0, 1, 2] == [element.launch for element in elements]
    assert ["off", "mtp", "off"] == first_arms
    assert all(6 == len(element.points) for element in elements)


def test_a_ladder_whose_first_launch_decides_is_one_element_of_all_launches(sweep):
    asked = {"concurrency": Ladder(from_=1, to=64, refine_pct=3.0), "launches": 3}
    [element] = elements_of(sweep.model_copy(update=asked), cluster_with(), Manner())
    [short, *_] = elements_of(sweep, cluster_with(), Manner())

    assert (0, 3, 2 * 3 * 7) == (element.launch, element.launches, len(element.points))
    assert element.time_min > 2 * short.time_min


@pytest.mark.parametrize(
    ("tasks", "at_once", "asked"),
    [([0], None, "--array=0"), ([0, 1, 2, 5, 7, 8], 4, "--array=0-2,5,7-8%4"), ([3, 4], None, "--array=3-4")],
)
def test_tasks_of_an_array_are_written_as_ranges(tasks, at_once, asked):
    assert asked == array_option(tasks, at_once)


def test_a_percent_sign_of_the_folder_is_no_pattern_of_sbatch(sweep):
    folder = Path("/r/80%util")
    elements = element_options(elements_of(sweep, cluster_with(), Manner())[0], cluster_with(), folder)

    assert {"--output=/r/80%%util/slurm/%A_%a.log", "--chdir=/r/80%util"} <= set(elements)
    assert "--output=/r/80%%util/slurm/answer-%j.log" in answer_options(AnswerJob(), ["12"], folder)


def test_a_cluster_that_takes_no_arrays_is_refused(sweep, tmp_path, stand_in):
    stand_in("scontrol", "echo 'MaxArraySize            = 0'")

    with pytest.raises(ClusterError, match="MaxArraySize=0"):
        commands(sweep, tmp_path / "results", cluster_with())


def test_the_answer_comes_after_all_however_they_ended():
    asked = answer_options(AnswerJob(partition="cpu"), ["12", "13"], FOLDER)

    assert {"--dependency=afterany:12:13", "--kill-on-invalid-dep=yes", "--partition=cpu"} <= set(asked)
