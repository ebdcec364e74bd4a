"""What clients send to the emulator.

Of a completion request only lengths and format are looked at: sampling changes nothing here, and unknown fields are
passed over, as OpenAI's servers do.
"""

import msgspec

from harness.emulator import toy_tokenizer


class Message(msgspec.Struct):
    """One turn of a conversation."""

    role: str
    content: str


class StreamOptions(msgspec.Struct, frozen=True):
    """How a stream reports usage."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class CompletionRequest(msgspec.Struct):
    """A completion request, chat or plain."""

    model: str
    prompt: str | list[int] = ""
    messages: list[Message] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    return_token_ids: bool = False
    ignore_eos: bool = False

    @property
    def chat(self) -> bool:
        """Whether it is a conversation."""
        return self.messages is not None

    @property
    def ids(self) -> list[int]:
        """The prompt's token ids."""
        if self.messages is not None:
            return toy_tokenizer.chat([(message.role, message.content) for message in self.messages])
        return toy_tokenizer.tokenize(self.prompt) if isinstance(self.prompt, str) else self.prompt

    @property
    def output_tokens(self) -> int:
        """The most that may be answered; 16 where nothing is said, as OpenAI has it."""
        return self.max_completion_tokens or self.max_tokens or 16


class TokenizeRequest(msgspec.Struct):
    """A text, or a conversation, to tokenise."""

    prompt: str = ""
    messages: list[Message] | None = None
    add_generation_prompt: bool = True

    @property
    def ids(self) -> list[int]:
        """Its token ids."""
        if self.messages is None:
            return toy_tokenizer.tokenize(self.prompt)
        turns = [(message.role, message.content) for message in self.messages]
        return toy_tokenizer.chat(turns, answer=self.add_generation_prompt)
