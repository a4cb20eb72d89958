//! Positions of transcripts.

use tracker_host::types::TranscriptRow;

use super::{Function, Model, place, put, read, sorted, write};

impl Model {
    pub(super) fn put_transcript(&mut self, transcript: TranscriptRow) {
        put(&mut self.transcripts, transcript, |a, b| a.path == b.path);
    }
}

pub fn functions() -> Vec<Function> {
    vec![
        read("get-transcript-position", |m, (path,): (String,)| {
            m.transcripts.iter().find(|transcript| transcript.path == path).map_or(0, |found| found.byte_position)
        }),
        read("get-all-transcript-positions", |m, (): ()| {
            let all = sorted(&m.transcripts, |_| true, |transcript| place![&transcript.path]);
            all.into_iter().map(|transcript| (transcript.path, transcript.byte_position)).collect::<Vec<_>>()
        }),
        write("set-transcript-position", |m, (path, byte_position): (String, i64)| {
            m.put_transcript(TranscriptRow { path, byte_position, updated_at: m.now });
            Ok(())
        }),
        write("clear-transcript-positions", |m, (): ()| Ok(std::mem::take(&mut m.transcripts).len() as u64)).rare(),
    ]
}
