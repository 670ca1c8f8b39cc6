//! [`Terms`]: how a rule counts, whichever rule it is.

use std::collections::BTreeMap;

use crate::rubric::RubricError;
use crate::score::Sample;

/// How a rule counts in a rubric: what every rule's settings have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Factor on the value in the total; no unit.
    pub weight: f64,
    /// The rule's name, where it is not that of its kind.
    pub name: Option<String>,
    /// The rule counts only where each of these rules, by name, has at least this value.
    pub needs: BTreeMap<String, f64>,
    /// The value is taken no lower and no higher than this.
    pub clip: Option<[f64; 2]>,
    /// First and last step at which the rule counts; the last may be left out.
    pub steps: Vec<u64>,
    /// Steps over which the weight rises linearly to its full amount.
    pub warmup_steps: u64,
    /// The rule is for rows of these sources alone; for all where empty.
    pub sources: Vec<String>,
}

impl Terms {
    /// A weight, and no further terms.
    pub fn weight(weight: f64) -> Terms {
        Terms {
            weight,
            name: None,
            needs: BTreeMap::new(),
            clip: None,
            steps: Vec::new(),
            warmup_steps: 0,
            sources: Vec::new(),
        }
    }

    /// Whether the rule is about rows such as that of `sample`.
    pub(super) fn applies(&self, sample: &Sample<'_>) -> bool {
        self.sources.is_empty() || sample.source().is_some_and(|source| self.sources.iter().any(|own| own == source))
    }

    /// The share of the weight that holds at a step; `None` outside the window.
    pub(super) fn share(&self, step: Option<u64>) -> Option<f64> {
        let Some(step) = step else { return Some(1.0) };
        let first = self.steps.first().copied().unwrap_or(1);
        let last = self.steps.get(1).copied().unwrap_or(u64::MAX);
        if step < first || step > last {
            return None;
        }
        let taken = (step - first).saturating_add(1);
        Some(if taken >= self.warmup_steps { 1.0 } else { taken as f64 / self.warmup_steps as f64 })
    }

    /// Checks what can be said of the terms without the other rules.
    pub(super) fn check(&self, rule: &str) -> Result<(), RubricError> {
        let wrong = |key, problem: String| Err(RubricError::Setting { rule: rule.to_owned(), key, problem });
        if !self.weight.is_finite() {
            return wrong("weight", format!("is {}, and must be finite", self.weight));
        }
        if let Some([low, high]) = self.clip
            && !(low.is_finite() && high.is_finite() && low <= high)
        {
            return wrong("clip", format!("is [{low}, {high}], and must be two finite numbers, the lower first"));
        }
        match self.steps[..] {
            [] => {}
            [first] | [first, _] if first == 0 => return wrong("steps", "begins at 0, and steps count from 1".into()),
            [_] => {}
            [first, last] if first <= last => {}
            [first, last] => return wrong("steps", format!("is [{first}, {last}], and ends before it begins")),
            _ => return wrong("steps", "has more than a first and a last step".into()),
        }
        if let Some((other, least)) = self.needs.iter().find(|(_, least)| !least.is_finite()) {
            return wrong("needs", format!("asks {other} for {least}, and must ask for a finite value"));
        }
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        match &self.name {
            Some(name) if name.is_empty() || !name.chars().all(plain) => {
                wrong("name", format!("is `{name}`: use letters, digits, `_`, `-` and `.`"))
            }
            _ => Ok(()),
        }
    }
}

/// Defines the settings of a rule: its own keys, and those of [`Terms`] in the same table, so that an unknown key is an
/// error that names it and lists all known ones.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Factor on the value in the total; no unit.
            pub weight: f64,
            $($(#[$doc])* pub $field: $kind,)*
            /// The rule's name in metrics, samples and `needs`; its kind's where absent. Two rules of one kind need two.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub name: Option<String>,
            /// Counts only where each rule named here has at least the value given, and as 0 elsewhere:
            /// `{ format = 1.0 }`. What is compared is the value before its weight and after its clip.
            #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            pub needs: std::collections::BTreeMap<String, f64>,
            /// Lowest and highest value that is taken: `[-1.0, 1.0]`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub clip: Option<[f64; 2]>,
            /// First and last step, from 1, at which the rule counts: `[100, 200]`, or `[100]` without an end.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub steps: Vec<u64>,
            /// Steps over which the weight rises linearly, from the first at which the rule counts.
            #[serde(default)]
            pub warmup_steps: u64,
            /// Only for rows whose column `data_source`, or else `source`, is one of these; for all where empty.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub sources: Vec<String>,
        }

        impl $name {
            /// These settings with no terms but the weight.
            #[allow(clippy::too_many_arguments, reason = "one for each key of the table")]
            pub fn new(weight: f64, $($field: $kind,)*) -> Self {
                Self {
                    weight,
                    $($field,)*
                    name: None,
                    needs: Default::default(),
                    clip: None,
                    steps: Vec::new(),
                    warmup_steps: 0,
                    sources: Vec::new(),
                }
            }

            /// The terms it counts on.
            pub(crate) fn terms(&self) -> $crate::rubric::Terms {
                $crate::rubric::Terms {
                    weight: self.weight,
                    name: self.name.clone(),
                    needs: self.needs.clone(),
                    clip: self.clip,
                    steps: self.steps.clone(),
                    warmup_steps: self.warmup_steps,
                    sources: self.sources.clone(),
                }
            }
        }
    };
}
pub(crate) use settings;
