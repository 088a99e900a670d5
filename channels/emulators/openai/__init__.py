"""A stand-in for OpenAI-compatible endpoints: chat completions, tool calls, and all that fails.

An unmodified client talks to it (`base_url=emulator.base_url`). Without a script it says back what it is told, calls
the tool it is told to, and says as many words as it is told (`answers.echo`).
"""

from channels.emulators.openai.answers import Answer, ToolUse, echo, tokens
from channels.emulators.openai.emulator import OpenAiEmulator

__all__ = ["Answer", "OpenAiEmulator", "ToolUse", "echo", "tokens"]
