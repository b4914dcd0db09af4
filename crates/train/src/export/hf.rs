//! The folder that `transformers` loads as Qwen3: `config.json` and `model.safetensors`.
//!
//! Names and arithmetic are those of `Qwen3ForCausalLM` (`models/qwen3/modeling_qwen3.py` of transformers, read in 4.51
//! and 5.23). It computes what our family does:
//!
//! - a linear layer holds (out, in) and multiplies rows by the transpose, as ours;
//! - queries, keys and values are three matrices, gate and up are two; ours lie as equal blocks of rows of one;
//! - queries and keys are normalised per head, with a gain per channel, before they are rotated;
//! - rotation pairs channel i with i + h/2 by the angle t · θ^(−2i/h): no row changes its place;
//! - scores are divided by √h, where h is `head_dim`; one `rms_norm_eps` serves every norm.
//!
//! Qwen3 has no residual or output multipliers. Ours are carried by the weights already (see
//! [`parametrization`](crate::parametrization)), so that nothing is left to fold in.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Result, Tensor};
use forescale_core::count::{Mlp, ModelShape};
use serde_json::{Value, json};

use super::{ExportError, save, unwritten};
use crate::kernels::rms_norm::EPSILON;
use crate::model::{ROTARY_BASE, Weight};

/// Names of a weight outside the blocks.
const OUTER: [(&str, &[&str]); 3] =
    [("embedding", &["model.embed_tokens"]), ("norm", &["model.norm"]), ("head", &["lm_head"])];

/// Names of a weight of a block, in the order in which their rows lie in ours: blocks of equal height.
const OF_BLOCK: [(&str, &[&str]); 8] = [
    ("attention_norm", &["input_layernorm"]),
    ("query_key_value", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    ("query_norm", &["self_attn.q_norm"]),
    ("key_norm", &["self_attn.k_norm"]),
    ("attention_output", &["self_attn.o_proj"]),
    ("mlp_norm", &["post_attention_layernorm"]),
    ("gate_up", &["mlp.gate_proj", "mlp.up_proj"]),
    ("down", &["mlp.down_proj"]),
];

/// Whether a shape can be a Qwen3 of `transformers`.
///
/// # Errors
///
/// [`ExportError::Inexpressible`] for an input order above 1 and for an MLP other than SwiGLU.
pub fn check_hf(shape: &ModelShape) -> std::result::Result<(), ExportError> {
    let refuse = |problem: String, hint: &str| Err(ExportError::Inexpressible { problem, hint: hint.to_owned() });
    let order = shape.input_order;
    match shape.mlp {
        _ if order > 1 => refuse(
            format!("`input_order` is {order}: the input is a sum of {order} embeddings, and Qwen3 has one"),
            "train with `input_order = 1` to export",
        ),
        Mlp::ReluSquared => refuse(
            "the MLP is ReLU², and that of Qwen3 is SwiGLU".to_owned(),
            "train with `mlp = \"swiglu\"` to export",
        ),
        Mlp::Swiglu => Ok(()),
    }
}

pub(super) fn write(shape: &ModelShape, weights: &[Weight], folder: &Path) -> std::result::Result<(), ExportError> {
    check_hf(shape)?;
    save(&tensors(weights)?, &folder.join("model.safetensors"))?;
    let path = folder.join("config.json");
    let text = format!("{:#}\n", config(shape));
    std::fs::write(&path, text).map_err(|error| unwritten(&path, &error))
}

/// `config.json`. Names that changed between transformers 4 and 5 stand under both: the number format (`torch_dtype`,
/// `dtype`) and the rotation (`rope_theta`, `rope_parameters`).
fn config(shape: &ModelShape) -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp_hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_size,
        "max_position_embeddings": shape.context,
        "hidden_act": "silu",
        "rms_norm_eps": EPSILON,
        "rope_theta": ROTARY_BASE,
        "rope_parameters": { "rope_type": "default", "rope_theta": ROTARY_BASE },
        "attention_bias": false,
        "attention_dropout": 0.0,
        "use_sliding_window": false,
        "sliding_window": null,
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
        "dtype": "float32",
    })
}

/// All weights by their names in Qwen3.
fn tensors(weights: &[Weight]) -> Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    for weight in weights {
        let names = names(&weight.spec.name);
        let pieces = weight.variable.chunk(names.len(), 0)?;
        tensors.extend(names.into_iter().zip(pieces));
    }
    Ok(tensors)
}

/// The names under which the rows of a weight of ours go, from its first row to its last.
fn names(ours: &str) -> Vec<String> {
    let (prefix, theirs) = match ours.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        None => (String::new(), named(&OUTER, ours)),
        Some((block, kind)) => (format!("model.layers.{block}."), named(&OF_BLOCK, kind)),
    };
    theirs.iter().map(|name| format!("{prefix}{name}.weight")).collect()
}

fn named(table: &[(&str, &'static [&'static str])], ours: &str) -> &'static [&'static str] {
    let row = table.iter().find(|(name, _)| *name == ours);
    row.expect("each weight of a family that passed the check has a row in the tables above").1
}
