"""Text from outside on its way to a model or out of it: what is taken out of it, and how it is cut. Pure."""

import re
from typing import Final

_CONTROL: Final = re.compile(
    r"<\|[^|<>\s]{1,40}\|>"  # ChatML, Llama 3, Phi: <|im_start|>, <|eot_id|>
    r"|<\uff5c[^\uff5c<>\s]{1,40}\uff5c>"  # DeepSeek, with full-width bars
    r"|</?(?:start_of_turn|end_of_turn)>"  # Gemma
    r"|\[/?INST\]|<</?SYS>>|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"  # Llama 2, Mistral
)
"""Tokens of chat templates: in a text they would pass for the frame around it where a server parses them there."""


def plain(text: str) -> str:
    """The text without the control tokens of chat templates, also those that appear when others are taken out."""
    while (found := _CONTROL.sub("", text)) != text:
        text = found
    return text


def sound(text: str) -> str:
    """The text with what no encoding can carry (lone surrogates) replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cut(text: str, chars: int) -> str:
    """At most so many characters, and a mark where the rest is missing."""
    if len(text) <= chars:
        return text
    return f"{text[:chars]}\n[cut: {len(text) - chars} more characters]"
