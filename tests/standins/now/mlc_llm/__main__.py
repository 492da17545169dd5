"""`python -m mlc_llm SUBCOMMAND`."""

from __future__ import annotations

import argparse
import importlib
import sys

parser = argparse.ArgumentParser("MLC LLM Command Line Interface.")
parser.add_argument("subcommand", choices=["compile", "convert_weight", "gen_config"])
importlib.import_module(f"mlc_llm.cli.{parser.parse_args(sys.argv[1:2]).subcommand}").main(sys.argv[2:])
