use std::sync::Arc;

use super::*;
use crate::config::DataConfig;
use crate::data::{Chain, Source, Split};
use crate::fixture::{Folder, tokenizer};

fn data(template: Template) -> DataConfig {
    let source = Source::Chain(Chain { n_problems: 1, split: Split::Train, operations: 3 });
    DataConfig { source, template, system_prompt: None, effort: None, max_prompt_tokens: 64 }
}

/// Encodes one document and gives its text with what is learned in brackets.
fn marked(folder: &Folder, data: &DataConfig, loss_on: LossOn, body: DocumentBody) -> Result<Option<String>> {
    let written = folder.write();
    let tokenizer = tokenizer(written.path());
    let prompter = Prompter::new(&tokenizer, data)?;
    // 257 is <|eos|>, 259 is <|end|>.
    let encoder = Encoder { prompter: &prompter, end: 257, stops: &[257, 259], loss_on };
    let document = Document { place: "a.jsonl, line 7".into(), body };
    Ok(encoder.encode(&document)?.map(|sequence| mark(&tokenizer, &sequence)))
}

fn mark(tokenizer: &Arc<Tokenizer>, sequence: &Sequence) -> String {
    let mut out = String::new();
    for (i, (&token, &learned)) in sequence.tokens.iter().zip(&sequence.mask).enumerate() {
        if learned && !(i > 0 && sequence.mask[i - 1]) {
            out.push('[');
        }
        out += &tokenizer.decode(&[token as u32], false);
        if learned && !sequence.mask.get(i + 1).copied().unwrap_or(false) {
            out.push(']');
        }
    }
    out
}

fn plain(folder: &Folder, loss_on: LossOn, body: DocumentBody) -> String {
    marked(folder, &data(Template::Plain), loss_on, body).unwrap().unwrap()
}

fn chat(messages: Value) -> DocumentBody {
    DocumentBody::Conversation { messages: messages.as_array().unwrap().clone(), tools: None }
}

fn completion(prompt: &str, completion: &str) -> DocumentBody {
    DocumentBody::Completion { prompt: PromptText::Text(prompt.into()), completion: completion.into() }
}

#[test]
fn a_text_is_learned_whole_and_ends() {
    let text = || DocumentBody::Text("Once.".into());
    assert_eq!(plain(&Folder::default(), LossOn::Assistant, text()), "O[nce.<|eos|>]");
    let with_bos = Folder { adds_bos: true, ..Folder::default() };
    assert_eq!(plain(&with_bos, LossOn::Assistant, text()), "<|bos|>[Once.<|eos|>]");
    let own_bos = DocumentBody::Text("<|bos|>Once.".into());
    assert_eq!(plain(&with_bos, LossOn::Assistant, own_bos), "<|bos|>[Once.<|eos|>]");
}

#[test]
fn a_completion_is_learned_with_the_token_that_ends_it() {
    let with_bos = Folder { adds_bos: true, ..Folder::default() };
    assert_eq!(plain(&with_bos, LossOn::Assistant, completion("2+2=", "4")), "<|bos|>2+2=[4<|eos|>]");
    assert_eq!(plain(&with_bos, LossOn::Everything, completion("2+2=", "4")), "<|bos|>[2+2=4<|eos|>]");
}

#[test]
fn with_a_chat_template_a_completion_is_the_assistants_turn() {
    let text = marked(&Folder::default(), &data(Template::Chat), LossOn::Assistant, completion("2+2=", "4"));
    assert_eq!(text.unwrap().unwrap(), "<|turn|>user\n2+2=<|end|>\n<|turn|>assistant\n[4<|end|>]\n");
}

#[test]
fn every_turn_of_the_assistant_is_learned_with_its_end() {
    let messages = json!([
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"},
    ]);
    let with_system = DataConfig { system_prompt: Some("Be brief.".into()), ..data(Template::Chat) };
    let text = marked(&Folder::default(), &with_system, LossOn::Assistant, chat(messages)).unwrap().unwrap();
    assert_eq!(
        text,
        "<|turn|>system\nBe brief.<|end|>\n<|turn|>user\na<|end|>\n<|turn|>assistant\n[b<|end|>]\n\
         <|turn|>user\nc<|end|>\n<|turn|>assistant\n[d<|end|>]\n<|turn|>user\ne<|end|>\n"
    );
}

#[test]
fn a_turn_without_a_stop_token_reaches_as_far_as_it_is_rendered() {
    const LINES: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
        {% if add_generation_prompt %}assistant: {% endif %}";
    let folder = Folder { template: Some(LINES), ..Folder::default() };
    let messages = json!([
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
    ]);
    let text = marked(&folder, &data(Template::Chat), LossOn::Assistant, chat(messages)).unwrap().unwrap();
    assert_eq!(text, "user: a\nassistant: [b\n]user: c\n");
}

#[test]
fn a_template_that_rewords_the_past_is_an_error_that_names_the_row() {
    // What the assistant said before the last message is left out, as templates do that hide old thoughts.
    const FORGETFUL: &str = "{% for m in messages %}<|turn|>{{ m.role }}\n\
        {% if m.role != 'assistant' or loop.last %}{{ m.content }}{% endif %}<|end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|turn|>assistant, {{ messages|length }}\n{% endif %}";
    let folder = Folder { template: Some(FORGETFUL), ..Folder::default() };
    let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    let error = marked(&folder, &data(Template::Chat), LossOn::Assistant, chat(messages)).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("in a.jsonl, line 7: the chat template words the conversation before turn 2"), "{error}");
}

#[test]
fn messages_without_a_chat_template_say_what_to_set() {
    let messages = chat(json!([{"role": "assistant", "content": "b"}]));
    let error = marked(&Folder::default(), &data(Template::Plain), LossOn::Assistant, messages).unwrap_err();
    assert!(format!("{error:#}").ends_with("messages need the chat template; set `data.template` to \"chat\""));
}

#[test]
fn a_conversation_in_which_nobody_answers_teaches_nothing() {
    let messages = || chat(json!([{"role": "user", "content": "a"}]));
    let chat = data(Template::Chat);
    assert_eq!(marked(&Folder::default(), &chat, LossOn::Assistant, messages()).unwrap(), None);
    assert!(marked(&Folder::default(), &chat, LossOn::Everything, messages()).unwrap().is_some());
}

#[test]
fn long_and_empty_documents_are_left_out_and_counted() {
    let written = Folder::default().write();
    let tokenizer = tokenizer(written.path());
    let prompter = Prompter::new(&tokenizer, &data(Template::Plain)).unwrap();
    let encoder = Encoder { prompter: &prompter, end: 257, stops: &[257], loss_on: LossOn::Assistant };
    let text = |text: &str| Document { place: String::new(), body: DocumentBody::Text(text.into()) };
    let documents = Documents { all: vec![text("abc"), text("abcd"), text("")], n_empty: 2 };
    let config = |max_tokens| SftConfig {
        mtp: None,
        steps: 1,
        batch_tokens: 8,
        max_tokens,
        microbatch_tokens: 8,
        loss_on: LossOn::Assistant,
        activation_checkpointing: None,
        eval_every: 0,
    };
    let sequences = Sequences::encode(&documents, &encoder, &config(4)).unwrap();
    assert_eq!((sequences.all.len(), sequences.n_too_long, sequences.n_empty), (1, 1, 3));
    let error = Sequences::encode(&documents, &encoder, &config(3)).unwrap_err().to_string();
    assert_eq!(error, "none of 3 documents can be learned: 3 are empty, 2 are longer than `sft.max_tokens` = 3");
}

#[test]
fn the_end_of_sequence_is_the_tokenizers_or_the_checkpoints() {
    let folder = Folder::default().write();
    assert_eq!(end_of_sequence(&tokenizer(folder.path()), &[3]).unwrap(), 257);
    let nameless = Folder { eos: None, ..Folder::default() }.write();
    assert_eq!(end_of_sequence(&tokenizer(nameless.path()), &[3, 4]).unwrap(), 3);
    assert!(end_of_sequence(&tokenizer(nameless.path()), &[]).is_err());
}
