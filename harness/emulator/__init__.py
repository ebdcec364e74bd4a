"""An engine whose true figures are known: a model of continuous batching, and a server that paces it.

    profile      what a step costs: a handful of parameters, and the noise that studies add
    acceptance   how many drafts of a step are accepted
    expected     what a profile comes to for users in closed loop, in closed form
    roofline     a profile from data sheets, where nothing was measured
    model        the engine in virtual time: batches, KV memory, preemption, counters
    study        closed-loop users in virtual time, no sockets
    toy          a tokenizer and a text of its own
    wire         OpenAI's stream format and Prometheus text, as vLLM words them
    faults       ways to misbehave on demand
    sendlog      the true send times, written by the server, read by tests
    pacer        the model against the wall clock
    command      its command line
    server       the HTTP face; `python -m harness.emulator` runs it in its own process

The library half (profile to study) knows no sockets, no clocks and no files. Everything that comes out of the
emulator is stamped `emulated` by its adapter, `harness.engines.emulator`.
"""
