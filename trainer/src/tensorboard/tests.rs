use std::process::Command;

use super::*;

/// CRC-32C bit by bit, from its definition.
fn slow_crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

fn slow_mask(bytes: &[u8]) -> u32 {
    let crc = slow_crc(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(sum(8), slow_mask(&bytes[..8]));
        assert_eq!(sum(12 + length), slow_mask(&bytes[12..12 + length]));
        found.push(bytes[12..12 + length].to_vec());
        bytes = &bytes[16 + length..];
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

/// The fields of one protobuf message as (number, payload), varints as 8 bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

fn field(bytes: &[u8], path: &[u64]) -> Vec<u8> {
    path.iter().fold(bytes.to_vec(), |bytes, number| {
        let all = fields(&bytes);
        all.into_iter().find(|(n, _)| n == number).expect("field").1
    })
}

fn written(folder: &Path) -> PathBuf {
    let mut writer = EventWriter::create(folder, 12).unwrap();
    writer.scalars(12, [("reward", 0.5), ("perf/seconds", 2.0)]).unwrap();
    writer.text(13, "sample", "1 + 1 = **2**").unwrap();
    writer.path().to_owned()
}

#[test]
fn parses_back() {
    assert_eq!(slow_crc(b"123456789"), 0xe306_9283);
    let folder = tempfile::tempdir().unwrap();
    let found = records(&fs::read(written(folder.path())).unwrap());
    assert_eq!(found.len(), 4);
    assert_eq!(field(&found[0], &[3]), b"brain.Event:2");
    assert_eq!(field(&found[1], &[2]), 12u64.to_le_bytes());
    assert_eq!(field(&found[1], &[7, 1]), 1u64.to_le_bytes());
    assert_eq!(field(&found[2], &[5, 1, 1]), b"reward");
    assert_eq!(field(&found[2], &[5, 1, 2]), 0.5f32.to_le_bytes());
    assert_eq!(fields(&field(&found[2], &[5])).len(), 2);
    assert_eq!(field(&found[3], &[5, 1, 9, 1, 1]), b"text");
    assert_eq!(field(&found[3], &[5, 1, 8, 8]), b"1 + 1 = **2**");
    assert_eq!(field(&found[3], &[5, 1, 8, 1]), 7u64.to_le_bytes());
    assert_eq!(field(&found[3], &[5, 1, 8, 2, 2, 1]), 1u64.to_le_bytes());
}

#[test]
fn two_files_in_one_second() {
    let folder = tempfile::tempdir().unwrap();
    assert_ne!(written(folder.path()), written(folder.path()));
}

#[test]
fn tensorboard_reads_it() {
    let Ok(python) = std::env::var("GROUPER_TENSORBOARD_PYTHON") else {
        eprintln!("skipped: GROUPER_TENSORBOARD_PYTHON names no interpreter with tensorboard");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let script = "
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]).Reload()
for tag in ('reward', 'perf/seconds'):
    print(tag, [(e.step, e.value) for e in events.Scalars(tag)])
print(events.Tensors('sample')[0].tensor_proto.string_val[0].decode())
print(events.PluginTagToContent('text'))
";
    let output = Command::new(python).arg("-c").arg(script).arg(folder.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let expected = "reward [(12, 0.5)]\nperf/seconds [(12, 2.0)]\n1 + 1 = **2**\n{'sample': b''}\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
