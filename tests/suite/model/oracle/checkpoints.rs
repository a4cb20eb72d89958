//! Checkpoints.

use tracker_host::types::Checkpoint;

use super::{Answer, Function, Model, newest, put, read, sorted, write};

impl Model {
    pub(super) fn put_checkpoint(&mut self, checkpoint: Checkpoint) {
        put(&mut self.checkpoints, checkpoint, |a, b| a.id == b.id);
    }
}

fn save(model: &mut Model, (processed_files, total_files, last_path): (i64, i64, String)) -> Answer<u64> {
    let id = model.next_id("checkpoints")?;
    model.put_checkpoint(Checkpoint { id, created_at: model.now, last_path, total_files, processed_files });
    Ok(id)
}

pub fn functions() -> Vec<Function> {
    vec![
        write("save-checkpoint", save),
        read("get-latest-checkpoint", |m, (): ()| {
            let newest_first = sorted(
                &m.checkpoints,
                |_| true,
                |checkpoint| vec![newest(checkpoint.created_at), checkpoint.id.into()],
            );
            newest_first.into_iter().next()
        }),
        write("clear-checkpoints", |m, (): ()| Ok(std::mem::take(&mut m.checkpoints).len() as u64)).rare(),
    ]
}
