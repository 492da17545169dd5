"""A stand-in for the package `mlc_chat` of the end of 2023: its `ChatModule`, none of its code.

It takes exactly the arguments that the original takes, and refuses all others. What is inside is this project's own
small model: see `small_runtime.py`.
"""

from mlc_chat.chat_module import ChatConfig as ChatConfig
from mlc_chat.chat_module import ChatModule as ChatModule
