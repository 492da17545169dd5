"""The engine."""

from mlc_llm.serve.config import EngineConfig as EngineConfig
from mlc_llm.serve.engine import MLCEngine as MLCEngine
