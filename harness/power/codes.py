"""The names of what can be wrong with a power stream, each with one sentence that says what to do.

All of them void the figures of power and nothing else: the point's throughput stays, unless power was required.
"""

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "power_no_meter": "The GPUs' power could not be read: `mtpbench doctor` says what is missing.",
    "power_sampler_died": "The process that reads power ended or hung during the point: see power.log of the attempt.",
    "power_stream_damaged": "Lines of power.jsonl are not as they were written: restore the file, or measure anew.",
    "power_clock": "When another node's readings were taken can't be told on the first one's clock: keep the nodes' "
    "clocks by NTP or PTP, and see what holds up the job's steps.",
    "power_missing_gpu": "A GPU of the server was not read to the end, and a sum without it means nothing: see its "
    "faults in power.jsonl.",
    "power_extra_gpu": "The server runs on other GPUs than its visibility variables and tp x pp x dp say: set "
    "CUDA_VISIBLE_DEVICES to UUIDs.",
    "power_shared_gpu": "A GPU is split (MIG, or a partition mode) and its figures are of the whole: measure on whole "
    "GPUs.",
    "power_no_counter": "A GPU has no energy counter that can be read: its driver or its virtual machine hides it.",
    "power_gap": "No reading for over 3 s: what the GPUs drew meanwhile is not known; look what held the sampler up.",
    "power_edge": "The readings do not reach from before the window to after it.",
    "power_zero": "The GPU said 0 W, which is the want of a reading: update the driver, or look who else polls it.",
    "power_counter_reset": "The energy counter fell: the driver was reloaded or the GPU reset during the point.",
    "power_counter_frozen": "The energy counter stood still while the GPU drew power: update the driver.",
    "power_counter_scale": "The energy counter is off by a known factor (1000, 1024, 65536): a fault of the driver.",
    "power_crosscheck": "Counter and power of the moment give energies over 5 % apart: one of them is wrong.",
    "power_limit_changed": "The power limit was changed during the window: keep power managers away while measuring.",
    "power_window_short": "Under 10 s: the sensors' own delay of 0.1 s would be over 1 % of it; raise window.min_s.",
}
