"""An engine whose true figures are known: a model of continuous batching, and a server that paces it.

    profile        what a step costs: a handful of parameters, and the noise that studies add
    acceptance     how many drafts of a step are accepted
    expected       what a profile comes to for users in closed loop, in closed form
    roofline       a profile from data sheets, where nothing was measured
    fit            a profile from measured points: `python -m harness.emulator.fit`
    model          the engine in virtual time: batches, KV memory, preemption, counters
    batch          the sequences of the model's batch
    virtual_load   users in closed loop, or an open loop, in virtual time; no sockets
    chunks         who got how many tokens in which step, for virtual_load
    toy_tokenizer  a tokenizer and a text of its own
    requests       what clients send
    wire           OpenAI's stream format and Prometheus text, as vLLM words them
    faults         ways to misbehave on demand
    sendlog        the true send times, written by the server, read by tests
    answer_writer  tokens into chunks on one request's connection
    pacer          the model against the wall clock
    nodes          several emulators as one server over several nodes
    settings       what a server is started with, and says of itself
    command        its command line
    server         the HTTP face; `python -m harness.emulator` runs it in its own process

The library half (profile to virtual_load) knows no sockets, no clocks and no files. Everything that comes out of the
emulator is stamped `emulated` by its adapter, `harness.engines.emulator`.
"""
