"""What SGLang 0.5.23 calls of its native package `sgl_kernel` when it serves a dense model on a CPU, in plain PyTorch.

Written from the call sites, each named below; files are of the wheel on PyPI, below sglang/. The package of this name
on PyPI holds CUDA kernels and the one for CPUs is built from SGLang's sources alone. Rows measured with this module
are stamped `cpu-standin-kernels`.

Speculation is a chain (`--speculative-eagle-topk 1`). What a dense text model does not need (trees of drafts, sliding
windows, sinks, cross attention, 8-bit caches) is refused by name. It must not have `convert_weight_packed`:
SGLang asks for that to learn whether layers too have native kernels (srt/utils/common.py), and takes torch otherwise.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def assign_req_to_token_pool_cpu(
    rows: Tensor, req_to_token: Tensor, start: Tensor, end: Tensor, out_cache_loc: Tensor, pool_len: int
) -> None:
    """Write new cache slots into the requests' rows from `start` to `end` (srt/mem_cache/allocation.py)."""
    at = _spans(rows, start, end)
    req_to_token[at] = out_cache_loc[: at[0].numel()].to(req_to_token.dtype)


def assign_extend_cache_locs_cpu(
    rows: Tensor, req_to_token: Tensor, start: Tensor, end: Tensor, out_cache_loc: Tensor, pool_len: int
) -> None:
    """Read the slots of those spans (kernels/ops/speculative/cache_locs.py)."""
    at = _spans(rows, start, end)
    out_cache_loc[: at[0].numel()] = req_to_token[at].to(out_cache_loc.dtype)


def assign_draft_cache_locs_contiguous_cpu(
    rows: Tensor,
    req_to_token: Tensor,
    seq_lens: Tensor,
    out_cache_loc: Tensor,
    pool_len: int,
    topk: int,
    num_steps: int,
) -> None:
    """Read the slots of the drafts to come (kernels/ops/speculative/cache_locs.py)."""
    _require_chain(topk)
    assign_extend_cache_locs_cpu(rows, req_to_token, seq_lens, seq_lens + num_steps, out_cache_loc, pool_len)


def build_draft_decode_metadata_cpu(
    req_to_token: Tensor, rows: Tensor, seq_lens: Tensor, topk: int, num_steps: int, pool_len: int
) -> Tensor:
    """Each candidate's table of slots (srt/layers/attention/intel_amx_backend.py); a chain has its request's own."""
    _require_chain(topk)
    return req_to_token[rows.long()]


def build_tree_kernel_efficient_cpu(
    parent_list: Tensor,
    selected_index: Tensor,
    seq_lens: Tensor,
    tree_mask: Tensor,
    positions: Tensor,
    retrieve_index: Tensor,
    retrieve_next_token: Tensor,
    retrieve_next_sibling: Tensor,
    topk: int,
    depth: int,
    num_draft_tokens: int,
    mask_mode: int,
) -> None:
    """Link drafts (kernels/ops/speculative/spec_tree.py): in a chain each follows the one before it.

    The mask stays as it is: the attention backend reads none where the drafts are a chain.
    """
    _require_chain(topk)
    each = torch.arange(num_draft_tokens)
    requests = torch.arange(seq_lens.numel())
    retrieve_index.copy_(requests[:, None] * num_draft_tokens + each)
    retrieve_next_token.copy_(torch.where(each + 1 < num_draft_tokens, each + 1, -1).expand_as(retrieve_next_token))
    retrieve_next_sibling.fill_(-1)
    positions.copy_((seq_lens[:, None] + each).flatten())


def verify_tree_greedy_cpu(
    predicts: Tensor,
    accept_index: Tensor,
    accept_token_num: Tensor,
    candidates: Tensor,
    retrive_index: Tensor,
    retrive_next_token: Tensor,
    retrive_next_sibling: Tensor,
    target_predict: Tensor,
) -> None:
    """Accept drafts up to the first that the target does not choose (kernels/ops/speculative/spec_tree.py)."""
    width = accept_index.shape[1]
    agreed = (candidates[:, 1:width] == target_predict[:, : width - 1]).int().cumprod(1)
    accepted = agreed.sum(1)
    predicts.copy_(target_predict.flatten())
    within = torch.arange(width) <= accepted[:, None]
    accept_index.copy_(torch.where(within, retrive_index[:, :width], -1))
    accept_token_num.copy_(accepted)


def fill_bonus_tokens_cpu(accept_tokens: Tensor, accept_lens: Tensor, bonus_tokens: Tensor, accept_stride: int) -> None:
    """The last token that each request got (kernels/ops/speculative/eagle.py)."""
    last = torch.arange(accept_lens.numel()) * accept_stride + accept_lens.long() - 1
    bonus_tokens.copy_(accept_tokens.flatten()[last])


def fill_accept_out_cache_loc_cpu(accept_index: Tensor, out_cache_loc: Tensor, accept_out_cache_loc: Tensor) -> None:
    """Slots of the accepted drafts, close together (kernels/ops/speculative/eagle.py)."""
    kept = accept_index.flatten()
    kept = kept[kept >= 0].long()
    accept_out_cache_loc[: kept.numel()] = out_cache_loc[kept]


def rotate_input_ids_cpu(
    input_ids: Tensor, start: Tensor, lengths: Tensor, topk_index: Tensor, select_index: Tensor | None = None
) -> None:
    """Shift each request's ids to the left by one and put its draft at the end, or where it says
    (kernels/ops/speculative/multi_layer_eagle.py)."""
    kept = lengths > 0
    last = (start + lengths - 1)[kept].long()
    source = torch.arange(1, input_ids.numel() + 1)
    source[last] = last
    input_ids.copy_(input_ids[source.clamp(max=input_ids.numel() - 1)])
    target = last if select_index is None else select_index.flatten()[kept].long()
    input_ids[target] = topk_index.flatten()[kept].to(input_ids.dtype)


def copy_all_layer_kv_cache_cpu(data_ptrs: Tensor, strides: Tensor, target: Tensor, source: Tensor) -> None:
    """Gather a tree's accepted branch (kernels/ops/kvcache/cache_move.py); a chain lies in its place.

    The cache tries it out with a slot on itself as it is made.
    """
    if not torch.equal(target, source):
        raise NotImplementedError("sgl_kernel stand-in: moving cache slots is for trees of drafts")


def _decode_attention_cpu(
    q: Tensor,
    k_buffer: Tensor,
    v_buffer: Tensor,
    k_scale: float,
    v_scale: float,
    output: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    loc: Tensor | None,
    attn_logits: Tensor,
    req_to_token: Tensor,
    rows: Tensor,
    seq_lens: Tensor,
    sm_scale: float,
    logit_cap: float,
    is_cross_attn: bool = False,
    sliding_window_size: int = 0,
    encoder_lens: Tensor | None = None,
    sinks: Tensor | None = None,
) -> None:
    """One query a request, whose key and value are written here (srt/layers/attention/intel_amx_backend.py)."""
    _require_plain(logit_cap, is_cross_attn, sliding_window_size, sinks, k_buffer)
    if k is not None:
        k_buffer[loc] = k.view(-1, *k_buffer.shape[1:])
        v_buffer[loc] = v.view(-1, *v_buffer.shape[1:])
    output.copy_(_attention(q.unsqueeze(1), k_buffer, v_buffer, req_to_token, rows, seq_lens, sm_scale).squeeze(1))


def _extend_attention_cpu(
    q: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    output: Tensor,
    k_buffer: Tensor,
    v_buffer: Tensor,
    k_scale: float,
    v_scale: float,
    req_to_token: Tensor,
    rows: Tensor,
    seq_lens: Tensor,
    extend_seq_lens: Tensor,
    extend_start_loc: Tensor,
    max_len_extend: int,
    sm_scale: float,
    logit_cap: float,
    is_cross_attn: bool = False,
    sliding_window_size: int = 0,
    encoder_lens: Tensor | None = None,
    sinks: Tensor | None = None,
    tree_mask: Tensor | None = None,
    is_causal: bool = True,
) -> None:
    """Several queries a request, prefill or verification; their keys and values lie in the cache already."""
    _require_plain(logit_cap, is_cross_attn, sliding_window_size, sinks, k_buffer)
    if tree_mask is not None or not is_causal:
        raise NotImplementedError("sgl_kernel stand-in: attention is causal, over a chain")
    # Together where all are as long, as in every verification; one by one otherwise.
    alike = len(set(extend_seq_lens.tolist())) == 1
    groups = [slice(0, len(rows))] if alike else [slice(i, i + 1) for i in range(len(rows)) if extend_seq_lens[i]]
    for group in groups:
        first, length = int(extend_start_loc[group.start]), int(extend_seq_lens[group.start])
        queries = slice(first, first + length * (group.stop - group.start))
        asked = q[queries].view(-1, length, *q.shape[1:])
        answer = _attention(asked, k_buffer, v_buffer, req_to_token, rows[group], seq_lens[group], sm_scale)
        output[queries] = answer.flatten(0, 1)


def _attention(
    q: Tensor, k_buffer: Tensor, v_buffer: Tensor, req_to_token: Tensor, rows: Tensor, seq_lens: Tensor, scale: float
) -> Tensor:
    """Causal attention of each request's last tokens to all of its own; q is [request, token, head, size]."""
    slots = req_to_token[rows.long(), : int(seq_lens.max())].long()
    # Beyond a request's own length its table holds what others left; those keys are masked.
    seen = seq_lens[:, None] - q.shape[1] + 1 + torch.arange(q.shape[1])
    mask = torch.arange(slots.shape[1]) < seen[:, :, None]
    keys, values = k_buffer[slots].transpose(1, 2), v_buffer[slots].transpose(1, 2)
    answer = scaled_dot_product_attention(
        q.transpose(1, 2), keys, values, attn_mask=mask.unsqueeze(1), scale=scale, enable_gqa=True
    )
    return answer.transpose(1, 2)


def _spans(rows: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every slot from `start` to `end` of each row, one row after the other."""
    lengths = (end - start).long()
    before = lengths.cumsum(0) - lengths
    columns = torch.arange(int(lengths.sum())) + torch.repeat_interleave(start - before, lengths)
    return torch.repeat_interleave(rows.long(), lengths), columns.long()


def _require_chain(topk: int) -> None:
    if topk != 1:
        raise NotImplementedError(f"sgl_kernel stand-in: drafts are a chain, topk 1, not {topk}")


def _require_plain(
    logit_cap: float, is_cross_attn: bool, sliding_window_size: int, sinks: Tensor | None, k_buffer: Tensor
) -> None:
    asked = {
        "logit caps": logit_cap > 0,
        "cross attention": is_cross_attn,
        "sliding windows": sliding_window_size > 0,
        "attention sinks": sinks is not None,
        f"a cache of {k_buffer.dtype}": k_buffer.dtype.itemsize == 1,
    }
    for feature, wanted in asked.items():
        if wanted:
            raise NotImplementedError(f"sgl_kernel stand-in: no {feature}")


torch.ops.sgl_kernel.decode_attention_cpu = _decode_attention_cpu
torch.ops.sgl_kernel.extend_attention_cpu = _extend_attention_cpu
