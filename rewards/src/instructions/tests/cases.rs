//! Texts that follow each kind of instruction, and texts that do not.

use serde_json::{Value, json};

/// One instruction with texts for and against it.
pub(super) struct Case {
    pub(super) id: &'static str,
    pub(super) kwargs: Value,
    pub(super) follow: Vec<&'static str>,
    pub(super) violate: Vec<&'static str>,
}

fn case<const F: usize, const V: usize>(
    id: &'static str,
    kwargs: Value,
    follow: [&'static str; F],
    violate: [&'static str; V],
) -> Case {
    Case { id, kwargs, follow: follow.to_vec(), violate: violate.to_vec() }
}

/// All kinds, some of them twice.
pub(super) fn cases() -> Vec<Case> {
    let mut all = about_words();
    all.extend(about_length());
    all.extend(about_form());
    all.extend(about_the_whole());
    all
}

fn about_words() -> Vec<Case> {
    vec![
        case(
            "keywords:existence",
            json!({"keywords": ["river", "Boat"]}),
            ["A boat on the river.", "RIVERBOATS", "The river carried a boat"],
            ["A boat on the lake.", "The river.", "riv er boat"],
        ),
        case(
            "keywords:frequency",
            json!({"keyword": "war", "frequency": 3, "relation": "at least"}),
            ["war war war", "War, warfare and warriors", "war WAR War war"],
            ["war war", "peace", "w a r war war"],
        ),
        case(
            "keywords:frequency",
            json!({"keyword": "war", "frequency": 2, "relation": "less than"}),
            ["peace", "one war", "No. WAR."],
            ["war war", "warfare of warriors", "War and war"],
        ),
        case(
            "keywords:forbidden_words",
            json!({"forbidden_words": ["rock", "Big Deal"]}),
            ["A stone.", "rocky rocks", "a bigdeal", "rock_1"],
            ["A rock.", "ROCK", "(rock)", "no big deal, is it"],
        ),
        case(
            "keywords:letter_frequency",
            json!({"letter": "q", "let_frequency": 2, "let_relation": "at least"}),
            ["quick quiz", "Q&Q", "qqq"],
            ["quick", "none", "p p"],
        ),
        case(
            "keywords:letter_frequency",
            json!({"letter": "!", "let_frequency": 2, "let_relation": "less than"}),
            ["Hello", "Hello!", "So ! it is"],
            ["Hello!!", "Oh! My!", "!a!b!"],
        ),
        case(
            "language:response_language",
            json!({"language": "de"}),
            [
                "Das Wetter ist heute schön, und wir gehen mit den Kindern in den Park.",
                "Ich habe keine Zeit, weil ich morgen früh nach Berlin fahren muss.",
                "# Überschrift\n\nDer Hund schläft auf dem Sofa und träumt von einem großen Knochen.",
            ],
            [
                "The weather is fine today and we are going to the park with the children.",
                "Le temps est beau aujourd'hui et nous allons au parc avec les enfants.",
                "Погода сегодня хорошая.",
            ],
        ),
        case(
            "language:response_language",
            json!({"language": "kn"}),
            ["ಇಂದು ಹವಾಮಾನ ಚೆನ್ನಾಗಿದೆ.", "ನಾವು ಶಾಲೆಗೆ ಹೋಗುತ್ತೇವೆ", "ಹೌದು, ಇದು ಸರಿ. OK"],
            ["Today it is warm.", "आज मौसम अच्छा है।", "ಹೌದು but the rest is in English"],
        ),
        case(
            "language:response_language",
            json!({"language": "sw"}),
            [
                "Leo hali ya hewa ni nzuri na tunakwenda sokoni kwa ajili ya kununua chakula.",
                "Mtoto wa jirani yangu anasoma katika shule ya msingi, lakini hapendi hesabu.",
                "Nyumba hii ni kubwa kuliko ile ya kaka yake.",
            ],
            [
                "The weather is fine today and we are going to the market to buy some food.",
                "Hari ini cuaca bagus dan kami pergi ke pasar untuk membeli makanan.",
                "Today",
            ],
        ),
        case(
            "change_case:capital_word_frequency",
            json!({"capital_frequency": 2, "capital_relation": "at least"}),
            ["This is VERY GOOD", "NASA, and the U.S. too", "I saw A cat", "(YES) **NO**", "I'm sure I'll go"],
            ["Very Good", "this is VERY good", "1 2 3"],
        ),
        case(
            "change_case:capital_word_frequency",
            json!({"capital_frequency": 2, "capital_relation": "less than"}),
            ["nothing", "This is NEW", "McDONALD"],
            ["THIS IS", "A B", "NO, really NO", "DON'T"],
        ),
        case(
            "change_case:english_capital",
            json!({}),
            ["HELLO, WORLD! THIS IS A LONG ENGLISH SENTENCE.", "YES.", "THE 3 WORDS"],
            ["Hello, World", "THIS IS MOSTLY IN CAPITALS, BUT NOt ALL", "123", "ВСЁ ЗАГЛАВНЫМИ БУКВАМИ"],
        ),
        case(
            "change_case:english_lowercase",
            json!({}),
            ["hello, world! this is all in small letters.", "yes.", "the 3 words"],
            ["Hello, world", "this is mine, and I like it", "123", "всё маленькими буквами"],
        ),
    ]
}

fn about_length() -> Vec<Case> {
    vec![
        case(
            "length_constraints:number_sentences",
            json!({"num_sentences": 3, "relation": "at least"}),
            ["One. Two. Three.", "Who? Me! Yes, you. Fine.", "A.\nIt is.\nIt was.\nIt will be."],
            ["One. Two.", "Dr. Smith and Mr. Jones met.", ""],
        ),
        case(
            "length_constraints:number_sentences",
            json!({"num_sentences": 2, "relation": "less than"}),
            ["Only one.", "Mr. Smith has 3.5 apples", "Apples, pears, etc. are fruit"],
            ["One. Two.", "Yes! No!", "Is it? It is."],
        ),
        case(
            "length_constraints:number_paragraphs",
            json!({"num_paragraphs": 2}),
            ["One.\n***\nTwo.", "One *** Two", "***\nOne\n***\nTwo\n***"],
            ["One.\n\nTwo.", "One\n***\nTwo\n***\nThree", "One\n***\n***\nTwo"],
        ),
        case(
            "length_constraints:number_words",
            json!({"num_words": 4, "relation": "at least"}),
            ["one two three four", "It's well-known", "1 2 3 4 5"],
            ["one two three", "one, two - three!", "a_b_c_d"],
        ),
        case(
            "length_constraints:number_words",
            json!({"num_words": 3, "relation": "less than"}),
            ["one two", "word", "— word —"],
            ["one two three", "don't say", "a b c d e"],
        ),
        case(
            "length_constraints:nth_paragraph_first_word",
            json!({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Weekend"}),
            ["One.\n\nWeekend plans.", "One\nmore\n\n\"Weekend, at last\"", "A\n\nWEEKEND's end"],
            ["Weekend.\n\nTwo.", "One.\n\nThe weekend.", "One.\n\nWeekend.\n\nThree.", "One.\nWeekend."],
        ),
        case(
            "length_constraints:nth_paragraph_first_word",
            json!({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "so"}),
            ["So it is.", "so", "'So' he said\nand left"],
            ["Thus it is.", "So.\n\nIt is.", "Soon."],
        ),
    ]
}

fn about_form() -> Vec<Case> {
    vec![
        case(
            "detectable_content:number_placeholders",
            json!({"num_placeholders": 2}),
            ["Dear [name] of [city]", "[a][b]", "[one] and [two] and [three]"],
            ["Dear [name]", "(name) (city)", "[na\nme] [city]"],
        ),
        case(
            "detectable_content:postscript",
            json!({"postscript_marker": "P.S."}),
            ["Bye.\nP.S. I forgot.", "Bye. P. S. More", "p.s. so"],
            ["Bye. PS: more", "Bye.", "P.S forgot"],
        ),
        case(
            "detectable_content:postscript",
            json!({"postscript_marker": "P.P.S"}),
            ["Bye.\nP.P.S. I forgot.", "Bye. P. P. S more", "p.p.s so"],
            ["Bye. P.S. more", "PPS more", "Bye."],
        ),
        case(
            "detectable_format:number_bullet_lists",
            json!({"num_bullets": 2}),
            ["* one\n* two", "- one\n  - two\ntext", "List:\n\n* one\n- two"],
            ["* one", "* one\n* two\n* three", "1. one\n2. two", "**bold**\n* one"],
        ),
        case(
            "detectable_format:constrained_response",
            json!({}),
            ["My answer is yes.", "  My answer is no. ", "Well: My answer is maybe."],
            ["Yes.", "my answer is yes", "My answer is perhaps."],
        ),
        case(
            "detectable_format:number_highlighted_sections",
            json!({"num_highlights": 2}),
            ["*one* and *two*", "**one** and *two*", "*one*\n**two**\n*three*"],
            ["*one* two", "** ** and * *", "*one\ntwo* *three", "one two"],
        ),
        case(
            "detectable_format:multiple_sections",
            json!({"section_spliter": "Section", "num_sections": 2}),
            ["Section 1\na\nSection 2\nb", "Section1 a Section2 b", "Section 1\nSection 2\nSection 3"],
            ["Section 1\na", "SECTION 1\nSECTION 2", "Section one\nSection two", "Section  1\nSection  2"],
        ),
        case(
            "detectable_format:json_format",
            json!({}),
            ["{\"a\": [1, 2]}", "```json\n{\"a\": null}\n```", "```\n[1]\n```", "\"text\""],
            ["{'a': 1}", "Here: {\"a\": 1}", "{\"a\": 1", "```json\n{\"a\": 1,}\n```"],
        ),
        case(
            "detectable_format:title",
            json!({}),
            ["<<My Day>>\nIt was.", "Text <<title>> text", "<<<x>>>"],
            ["<My Day>", "<<>>", "<< >>", "<<My\nDay>>"],
        ),
    ]
}

fn about_the_whole() -> Vec<Case> {
    vec![
        case(
            "combination:two_responses",
            json!({}),
            ["One.\n******\nTwo.", "a******b", "******\na\n******\nb"],
            ["One.", "One.\n******\nOne.", "a******b******c", "a******\n******b", "a\n***\nb"],
        ),
        case(
            "combination:repeat_prompt",
            json!({"prompt_to_repeat": "Write a poem. Say why. "}),
            ["Write a poem. Say why.\nRoses.", "  write A poem. say why. Yes", "WRITE A POEM. SAY WHY."],
            ["Sure! Write a poem. Say why.", "Write a poem.", "Roses."],
        ),
        case(
            "startend:end_checker",
            json!({"end_phrase": "Any questions?"}),
            ["So it is. Any questions?", "\"any QUESTIONS?\"", "Any questions?\n"],
            ["Any questions? No.", "Any questions", "Questions?"],
        ),
        case(
            "punctuation:no_comma",
            json!({}),
            ["No such mark here.", "a; b", "数、字，"],
            ["Yes, here.", ",", "1,000"],
        ),
        case(
            "startend:quotation",
            json!({}),
            ["\"A text.\"", " \"a\nb\" ", "\"\""],
            ["A text.", "\"A text.", "A \"text\"", "\"", "“A text.”"],
        ),
    ]
}
