//! `ExpertsConfig`: what a mixture-of-experts feed-forward is made of, and how its router chooses.

/// The routed experts of a block, those that every token passes through, and the rule that picks among them.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertsConfig {
    /// E: routed experts.
    pub n_experts: usize,
    /// k: routed experts that a token goes to.
    pub n_chosen: usize,
    /// F of one routed expert.
    pub width: usize,
    /// F of the shared experts together, which every token goes to.
    pub shared_width: Option<usize>,
    /// How a router's logits become scores.
    pub scoring: Scoring,
    /// Experts in groups, of which a token may use only some.
    pub groups: Option<ExpertGroups>,
    /// The weights of the chosen are divided by their sum.
    pub normalise: bool,
    /// Factor on the weights, after that (`routed_scaling_factor`).
    pub scaling: f64,
    /// A bias on each expert's score moves the choice and not the weights (`e_score_correction_bias`).
    pub correction_bias: bool,
}

/// How a router's logits become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// Softmax over all experts: DeepSeek-V2, Qwen3-MoE, Mixtral.
    Softmax,
    /// The sigmoid of each: DeepSeek-V3.
    Sigmoid,
}

/// Experts in groups of neighbours, of which a token may use the best (DeepSeek-V2, arXiv 2405.04434, section 2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Groups; divides the number of experts.
    pub n: usize,
    /// Groups that a token may use.
    pub n_chosen: usize,
    /// What a group is judged by.
    pub by: GroupScore,
}

/// What a group of experts is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupScore {
    /// Its best expert: DeepSeek-V2.
    Max,
    /// The sum of its best two: DeepSeek-V3.
    TopTwo,
}
