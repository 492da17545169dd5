"""The shape of a model, from `config.json` in the spellings that Hugging Face's releases write."""

from __future__ import annotations

from typing import Any

import pytest

from regress.worker.llama_config import parse_config

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "vocab_size": 2048,
    "rms_norm_eps": 1e-5,
}
SCALING = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}


def test_what_config_json_leaves_out_has_the_familys_default() -> None:
    config = parse_config(LLAMA)
    assert (config.num_key_value_heads, config.head_dim) == (8, 32)
    assert (config.rope_theta, config.rope_scaling) == (10000.0, {})
    assert (config.max_position_embeddings, config.tie_word_embeddings, config.qkv_bias) == (2048, False, False)


def test_what_config_json_says_wins_over_what_follows_from_other_keys() -> None:
    config = parse_config({**LLAMA, "num_key_value_heads": 2, "head_dim": 64, "tie_word_embeddings": True})
    assert (config.num_key_value_heads, config.head_dim, config.tie_word_embeddings) == (2, 64, True)


def test_null_is_as_good_as_absent() -> None:
    """transformers writes `null` for what it leaves to the default."""
    config = parse_config({**LLAMA, "num_key_value_heads": None, "head_dim": None, "rope_scaling": None})
    assert config == parse_config(LLAMA)


def test_qwen2_has_biases_on_queries_keys_and_values() -> None:
    assert parse_config({**LLAMA, "model_type": "qwen2"}).qkv_bias


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", **SCALING}},
        {"rope_theta": 500000.0, "rope_scaling": {"type": "llama3", **SCALING}},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, **SCALING}},
    ],
    ids=["transformers 4", "before rope_type", "transformers 5"],
)
def test_llama_3s_scaling_is_read_in_every_spelling(rope: dict[str, Any]) -> None:
    config = parse_config({**LLAMA, **rope})
    assert config.rope_theta == 500000.0
    assert config.rope_scaling["rope_type"] == "llama3"
    assert {key: config.rope_scaling[key] for key in SCALING} == SCALING


def test_the_default_rotary_embedding_of_transformers_5_is_no_scaling() -> None:
    config = parse_config({**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}})
    assert (config.rope_theta, config.rope_scaling) == (1e6, {})


@pytest.mark.parametrize("key", [key for key in LLAMA if key != "model_type"])
def test_a_key_that_is_needed_is_named_where_it_is_missing(key: str) -> None:
    with pytest.raises(ValueError, match=f"config.json: {key}: missing"):
        parse_config({name: value for name, value in LLAMA.items() if name != key})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mixtral"}, "model_type: 'mixtral'"),
        ({"model_type": None}, "model_type: 'None'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type: 'yarn'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type: 'linear'"),
    ],
)
def test_what_the_builder_would_get_wrong_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_config({**LLAMA, **changes})
