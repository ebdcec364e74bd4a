"""The page in a real browser, opened from disk: what a reader does, and what a file can't do to him."""

import json
from pathlib import Path

import pytest

from analysis.compare import Options, compare_paths
from analysis.report import page, page_as_published

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "comparison" / "results"
PUBLISHED = ROOT / "results" / "published"
CROSSOVER = ROOT / "results" / "examples" / "crossover-vllm-cpu"


@pytest.fixture(scope="module")
def golden() -> str:
    """Two draft lengths, one invalid point, prices known, no power measured."""
    return page(compare_paths([GOLDEN]))


@pytest.fixture
async def opened(tab, written, golden):
    path = written(golden)
    await tab.open(path)
    yield tab
    assert [] == tab.errors
    assert [path.as_uri()] == [address.partition("#")[0] for address in tab.requests if address[:5] != "data:"]


async def rows(tab) -> list[list[str]]:
    """The live table, its first column as typed."""
    return await tab.run(
        """[...document.querySelectorAll('#targets-body tr')].map((row) => [
             row.querySelector('input').value,
             ...[...row.querySelectorAll('td')].map((cell) => cell.textContent.trim()),
           ])"""
    )


async def test_it_opens_with_the_verdict_and_the_targets_of_the_comparison(opened):
    assert "MTP is better: every interval lies above no difference." == await opened.text("#verdict-line")
    assert ["66.1", "753 ± 6.2 %", "406 ± 4.0 %", "1.86", "1.77 to 1.95", "27 %", "MTP better"] == (await rows(opened))[
        0
    ]


async def test_the_table_follows_a_typed_target(opened):
    await opened.type("#targets-body input", "70")

    first, second, _ = await rows(opened)
    assert ["70", "713 ± 6.3 %"] == first[:2]
    assert "76.7" == second[0]
    assert "#at=70%2C76.7%2C87.3" == await opened.run("location.hash.replace(/pair=[^&]*&/, '')")


async def test_what_is_no_number_is_refused_beside_the_field(opened):
    before = await rows(opened)

    await opened.type("#targets-body input", "<b>")

    assert "true" == await opened.run("document.querySelector('#targets-body input').getAttribute('aria-invalid')")
    assert before[0][1:] == (await rows(opened))[0][1:]


async def test_the_table_follows_a_dragged_line(opened):
    await opened.drag('[data-target="2"] .handle', by=60)

    at, *cells = (await rows(opened))[2]
    assert 87.3 < float(at) < 110
    assert cells[0] != "559 ± 7.1 %"


@pytest.mark.parametrize(("results", "axis"), [(GOLDEN, "ttft_s"), (CROSSOVER, "e2e_s")])
async def test_on_a_latency_axis_the_table_follows_a_dragged_line_too(tab, written, results, axis):
    # The line of a target is where MTP's dot is: the text above it stays the speed that both arms are compared at.
    place = f"""() => {{ const target = reading.target(state.pair(), state.targets()[1], state.metric(), state.rates());
                        return [target.at, target.mtp.columns.{axis}]; }}"""
    await tab.open(written(page(compare_paths([results]))), f"#axis={axis}")
    before = await tab.run(f"({place})()")

    await tab.drag('[data-target="1"] .handle', by=40)

    after = await tab.run(f"({place})()")
    line = await tab.run("""+document.querySelector('[data-target="1"] .grip').getAttribute('x') + 14""")
    dots = await tab.run("[...document.querySelectorAll('.hit:not(.arm-0)')].map((dot) => +dot.getAttribute('cx'))")
    assert after[1] > before[1]
    assert after[0] < before[0]
    assert f"{after[0]:g}" == (await rows(tab))[1][0]
    assert line == pytest.approx(dots[1], abs=1e-6)
    assert [] == tab.errors


async def test_arrow_keys_move_a_line_and_delete_removes_it(opened):
    await opened.run("document.querySelector('[data-target=\"0\"]').focus()")
    await opened.press("ArrowRight")
    await opened.press("ArrowRight")

    assert 66.1 < float((await rows(opened))[0][0]) < 68
    assert "target-0" == await opened.run("document.activeElement.dataset.key")

    await opened.press("Delete")

    assert 2 == len(await rows(opened))


async def test_beyond_an_arms_reach_its_end_is_shown_and_no_ratio(opened):
    await opened.type("#targets-body input", "130")

    _, mtp, off, ratio, interval, _, verdict = (await rows(opened))[0]
    assert "its end" in off
    assert "its end" not in mtp
    assert ("–", "–", "unknown") == (ratio, interval, verdict)  # noqa: RUF001


async def test_another_metric_and_another_tier_change_table_and_axis(opened):
    await opened.choose("#metric", "cost_per_mtok")
    cheap = (await rows(opened))[0]
    await opened.choose("#tier", "rental")
    dear = (await rows(opened))[0]

    assert ["0.431", "0.801"] == [cell.split()[0] for cell in cheap[1:3]]
    assert float(dear[1].split()[0]) > float(cheap[1].split()[0])
    assert cheap[3:5] == dear[3:5] == ["0.539", "0.512 to 0.566"]
    assert "$ per million tokens (lower is better)" in await opened.texts("#chart-svg .axis")


async def test_what_was_not_measured_says_why_instead_of_drawing(opened):
    await opened.choose("#metric", "tok_s_mw_measured")

    assert "not measured" in await opened.text("#chart-svg .empty")
    assert ["–"] * 2 == [cell.strip() for cell in (await rows(opened))[0][1:3]]  # noqa: RUF001


async def test_a_link_brings_its_state(tab, written, golden):
    chosen = "mimo-163m/h100/bf16/1k1k/vllm/tp8/mtp3"

    await tab.open(written(golden), f"#pair={chosen}&metric=output_tok_s_gpu&axis=ttft_s&y=log&at=60,80&theme=dark")

    assert "MTP 3 against Off" == (await tab.text("#arms")).strip()
    assert ["60", "80"] == [row[0] for row in await rows(tab)]
    assert ["output_tok_s_gpu", "ttft_s", True, "dark"] == await tab.run(
        """[...['metric', 'axis'].map((id) => document.getElementById(id).value),
             document.getElementById('logy').checked, document.documentElement.dataset.theme]"""
    )
    assert [] == tab.errors


async def test_a_link_with_nonsense_is_the_page_without_it(tab, written, golden):
    await tab.open(
        written(golden), "#pair=<img src=x>&metric=__proto__&at=-1,NaN,1e99&usd=x&tier=toString&theme=url(x)"
    )

    assert "MTP is better" in await tab.text("#verdict-line")
    assert ["66.1", "76.7", "87.3"] == [row[0] for row in await rows(tab)]
    assert [] == tab.errors


async def test_a_point_says_all_that_is_known_of_it(opened):
    await opened.hover('.point[data-key="mtp-2"]')

    said = await opened.text("#tip")
    for words in (
        "MTP 1 at concurrency 16",
        "tok/s/user ±",
        "acceptance length: 1.70",
        "TTFT:",
        "not measured",
        "valid",
    ):
        assert words in said


async def test_keys_go_from_point_to_point(opened):
    await opened.run("document.querySelector('.point[tabindex=\"0\"]').focus()")
    await opened.press("ArrowRight")

    assert "mtp-1" == await opened.run("document.activeElement.dataset.key")
    assert "MTP 1 at concurrency 4" in await opened.text("#tip")


async def test_an_invalid_point_is_shown_with_its_reason_and_what_to_do(tab, written, golden):
    await tab.open(written(golden), "#pair=mimo-163m/h100/bf16/1k1k/vllm/tp8/mtp3")

    said = await tab.text("#invalid")
    assert "concurrency 64, launch 3" in said
    assert "not_steady Throughput had not settled when the point ended: raise window.max_s" in said
    assert 1 == await tab.run("document.querySelectorAll('.point.void').length")


async def test_the_tables_hold_every_point_of_the_chart(opened):
    drawn = await opened.run("document.querySelectorAll('.point:not(.void)').length")

    assert 8 == drawn == await opened.run("document.querySelectorAll('#points tbody tr').length")


async def test_the_csv_and_the_picture_carry_the_stamps(tab, written, synthetic, tmp_path):
    sweep = synthetic.Sweep(model="=cmd|'x'", emulated=True).write(tmp_path / "emulated")
    await tab.open(written(page(compare_paths([sweep]))))

    lines = (
        await tab.run(
            "save.csv(state.pair(), state.metric(), state.rates(), state.targets().map((at) =>"
            " reading.target(state.pair(), at, state.metric(), state.rates())))"
        )
    ).splitlines()
    kind, size = await tab.run(
        "save.png(document.getElementById('chart-svg'), state.pair(), ['x']).then((blob) => [blob.type, blob.size])"
    )

    assert 1 + 6 + 8 == len(lines)
    assert all("emulated" in line and line.startswith(("pair", "'=cmd")) for line in lines[1:])
    assert "image/png" == kind
    assert size > 10_000
    assert "emulated" in await tab.text("#chart-svg .stamps")
    assert ["emulated"] * 3 == await tab.texts(".tile .stamped")
    assert [] == tab.errors


HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'`${1}&amp;%STYLE%"


async def test_a_hostile_name_stays_text(tab, written, synthetic, tmp_path):
    sweep = synthetic.Sweep(model=HOSTILE, flags={0: ["--x", HOSTILE], 3: ["--x", HOSTILE]}).write(tmp_path / "hostile")

    await tab.open(written(page(compare_paths([sweep]))))

    assert await tab.run("window.hacked") is None
    assert (await tab.text("#title")).startswith(HOSTILE)
    assert 0 == await tab.run("document.querySelectorAll('img').length")
    assert [] == tab.errors


async def test_a_page_as_published_says_so_everywhere_and_gives_their_digits(tab, written):
    text, _ = page_as_published([PUBLISHED], Options())

    await tab.open(written(text), "#pair=qwen3.5/h100/fp8/1k1k/as-published")

    assert ["84", "361", "214", "1.69"] == [cell.strip() for cell in (await rows(tab))[0][:4]]
    assert "MTP is 67% cheaper per token; MTP delivers 69% more tok/s/GPU." in await tab.text("#caveats")
    assert ["as-published"] * 3 == await tab.texts(".tile .stamped")
    assert [] == tab.errors


async def test_the_page_fits_a_phone_and_paper(opened):
    await opened.size(390, 844)

    assert await opened.run("document.documentElement.scrollWidth <= innerWidth")

    printed = await opened.ask("Page.printToPDF", printBackground=True)

    assert len(printed["data"]) > 50_000


async def test_twenty_pairs_fit_into_two_megabytes_and_an_index(tab, written, synthetic, tmp_path):
    arms = (synthetic.OFF, *(synthetic.Arm(draft_tokens=n, tokens_per_step=1 + 0.5 * n) for n in (1, 2, 3, 4)))
    concurrencies = (1, 2, 4, 8, 16, 32, 64, 128)
    sweeps = [
        synthetic.Sweep(name=f"s{i}", model=f"model-{i}", arms=arms, concurrencies=concurrencies, blocks=20)
        for i in range(5)
    ]

    path = written(page(compare_paths([sweep.write(tmp_path / sweep.name) for sweep in sweeps])))
    await tab.open(path, "#pair=model-3/h100/bf16/1k1k/vllm/tp8/mtp2")

    assert path.stat().st_size < 2_000_000
    assert 20 == await tab.run("document.querySelectorAll('.entry').length")
    assert "model-3" in await tab.text("#title")
    assert [] == tab.errors


async def test_every_control_has_a_name(opened):
    unnamed = await opened.run(
        """[...document.querySelectorAll('button, select, input, [role=slider], [role=group], svg[role]')]
             .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
             .map((e) => e.id)"""
    )

    assert [] == unnamed


async def test_without_scripts_the_verdicts_are_there(tab, written, golden):
    await tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    await tab.open(written(golden))
    await tab.ask("Emulation.setScriptExecutionDisabled", value=False)

    assert "MTP is better: every interval lies above no difference." in await tab.text("noscript")


async def test_a_tile_says_what_is_missing_and_not_that_a_speed_is_out_of_reach(opened):
    await opened.choose("#metric", "energy_j_per_tok_output")
    unmeasured = await opened.texts("#tiles .tile .small:nth-child(3)")
    await opened.choose("#metric", "total_tok_s_gpu")
    await opened.type("#targets-body input", "130")
    [clamped, *_] = await opened.texts("#tiles .tile .small:nth-child(3)")

    assert not [text for text in unmeasured if "reach" in text]
    assert "an arm does not reach this speed" == clamped.strip()


async def test_values_at_an_arms_end_are_marked_wherever_they_stand(opened):
    await opened.type("#targets-body input", "130")

    heads = await opened.texts("#details th")
    assert "MTP at 130" in heads
    assert [head for head in heads if head.startswith("Off at") and head.endswith(": its end")]


async def test_joules_of_two_kinds_of_meter_are_not_divided(tab, written, tmp_path):
    measured = [json.loads(line) for line in (GOLDEN / "points.jsonl").read_text().splitlines()]
    for row in measured:
        row |= {"power_scope": "gpu-board" if row["draft_tokens"] == 0 else "gpu-module", "energy_j_per_tok": 2.0}
    (tmp_path / "points.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in measured))

    await tab.open(written(page(compare_paths([tmp_path]))), "#metric=energy_j_per_tok")

    assert {"–"} == {cells[3] for cells in await rows(tab)}  # noqa: RUF001
    assert (
        "the arms' power was measured of different things" in (await tab.texts("#tiles .tile .small:nth-child(3)"))[0]
    )


async def test_the_index_shows_a_speed_that_both_arms_reach(tab, written):
    report = page(compare_paths([CROSSOVER], Options(at=(15.0, 400.0, 500.0))))

    await tab.open(written(report))

    assert not [text for text in await tab.texts("#index-table .entry b") if "no common speed" in text]
