//! The languages known here, by their ISO 639-1 codes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_script::Script;
use whatlang::Lang;

/// A language, by its ISO 639-1 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Arabic.
    Ar,
    /// Bulgarian.
    Bg,
    /// Bengali.
    Bn,
    /// Catalan.
    Ca,
    /// Czech.
    Cs,
    /// Danish.
    Da,
    /// German.
    De,
    /// Greek.
    El,
    /// English.
    En,
    /// Spanish.
    Es,
    /// Estonian.
    Et,
    /// Persian.
    Fa,
    /// Finnish.
    Fi,
    /// French.
    Fr,
    /// Gujarati.
    Gu,
    /// Hebrew.
    He,
    /// Hindi.
    Hi,
    /// Croatian.
    Hr,
    /// Hungarian.
    Hu,
    /// Indonesian.
    Id,
    /// Italian.
    It,
    /// Japanese.
    Ja,
    /// Kannada.
    Kn,
    /// Korean.
    Ko,
    /// Lithuanian.
    Lt,
    /// Latvian.
    Lv,
    /// Macedonian.
    Mk,
    /// Malayalam.
    Ml,
    /// Marathi.
    Mr,
    /// Nepali.
    Ne,
    /// Dutch.
    Nl,
    /// Norwegian.
    No,
    /// Punjabi.
    Pa,
    /// Polish.
    Pl,
    /// Portuguese.
    Pt,
    /// Romanian.
    Ro,
    /// Russian.
    Ru,
    /// Slovak.
    Sk,
    /// Slovene.
    Sl,
    /// Swedish.
    Sv,
    /// Swahili.
    Sw,
    /// Tamil.
    Ta,
    /// Telugu.
    Te,
    /// Thai.
    Th,
    /// Tagalog.
    Tl,
    /// Turkish.
    Tr,
    /// Ukrainian.
    Uk,
    /// Urdu.
    Ur,
    /// Vietnamese.
    Vi,
    /// Chinese.
    Zh,
}

impl Language {
    /// The language of a code such as `en`; regions (`pt-BR`, `zh-cn`) are left out of account.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        let code = code.split(['-', '_']).next().unwrap_or(code).to_ascii_lowercase();
        serde_json::from_value(serde_json::Value::String(code)).ok()
    }

    /// The script it is written in; for Japanese, [`Script::Han`] beside the kana.
    pub(crate) fn script(self) -> Script {
        match self {
            Self::Ar | Self::Fa | Self::Ur => Script::Arabic,
            Self::Bg | Self::Mk | Self::Ru | Self::Uk => Script::Cyrillic,
            Self::Bn => Script::Bengali,
            Self::Ca
            | Self::Cs
            | Self::Da
            | Self::De
            | Self::En
            | Self::Es
            | Self::Et
            | Self::Fi
            | Self::Fr
            | Self::Hr
            | Self::Hu
            | Self::Id
            | Self::It
            | Self::Lt
            | Self::Lv
            | Self::Nl
            | Self::No
            | Self::Pl
            | Self::Pt
            | Self::Ro
            | Self::Sk
            | Self::Sl
            | Self::Sv
            | Self::Sw
            | Self::Tl
            | Self::Tr
            | Self::Vi => Script::Latin,
            Self::El => Script::Greek,
            Self::Gu => Script::Gujarati,
            Self::He => Script::Hebrew,
            Self::Hi | Self::Mr | Self::Ne => Script::Devanagari,
            Self::Ja | Self::Zh => Script::Han,
            Self::Kn => Script::Kannada,
            Self::Ko => Script::Hangul,
            Self::Ml => Script::Malayalam,
            Self::Pa => Script::Gurmukhi,
            Self::Ta => Script::Tamil,
            Self::Te => Script::Telugu,
            Self::Th => Script::Thai,
        }
    }

    /// What the detector calls it; `None` for Swahili, which it does not know.
    pub(crate) fn detected(self) -> Option<Lang> {
        Some(match self {
            Self::Ar => Lang::Ara,
            Self::Bg => Lang::Bul,
            Self::Bn => Lang::Ben,
            Self::Ca => Lang::Cat,
            Self::Cs => Lang::Ces,
            Self::Da => Lang::Dan,
            Self::De => Lang::Deu,
            Self::El => Lang::Ell,
            Self::En => Lang::Eng,
            Self::Es => Lang::Spa,
            Self::Et => Lang::Est,
            Self::Fa => Lang::Pes,
            Self::Fi => Lang::Fin,
            Self::Fr => Lang::Fra,
            Self::Gu => Lang::Guj,
            Self::He => Lang::Heb,
            Self::Hi => Lang::Hin,
            Self::Hr => Lang::Hrv,
            Self::Hu => Lang::Hun,
            Self::Id => Lang::Ind,
            Self::It => Lang::Ita,
            Self::Ja => Lang::Jpn,
            Self::Kn => Lang::Kan,
            Self::Ko => Lang::Kor,
            Self::Lt => Lang::Lit,
            Self::Lv => Lang::Lav,
            Self::Mk => Lang::Mkd,
            Self::Ml => Lang::Mal,
            Self::Mr => Lang::Mar,
            Self::Ne => Lang::Nep,
            Self::Nl => Lang::Nld,
            Self::No => Lang::Nob,
            Self::Pa => Lang::Pan,
            Self::Pl => Lang::Pol,
            Self::Pt => Lang::Por,
            Self::Ro => Lang::Ron,
            Self::Ru => Lang::Rus,
            Self::Sk => Lang::Slk,
            Self::Sl => Lang::Slv,
            Self::Sv => Lang::Swe,
            Self::Sw => return None,
            Self::Ta => Lang::Tam,
            Self::Te => Lang::Tel,
            Self::Th => Lang::Tha,
            Self::Tl => Lang::Tgl,
            Self::Tr => Lang::Tur,
            Self::Uk => Lang::Ukr,
            Self::Ur => Lang::Urd,
            Self::Vi => Lang::Vie,
            Self::Zh => Lang::Cmn,
        })
    }
}
