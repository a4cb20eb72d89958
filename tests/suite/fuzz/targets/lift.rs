//! Answers that a hostile component leaves in its memory.

use tracker_host::fuzzing::lift;

/// Input: the kind of answer, a budget, and the memory with the answer at its start.
pub fn run(data: &[u8]) {
    let [kind, budget, memory @ ..] = data else { return };
    let budget = usize::from(*budget) << 6;
    if let Ok((spent, records)) = lift(*kind, memory, budget) {
        assert!(records <= spent && spent <= budget, "{records} bytes were charged as {spent}");
        // Whatever the lengths say: with the budget for it, it is the same again.
        assert_eq!(lift(*kind, memory, spent).ok(), Some((spent, records)));
        assert!(spent == 0 || lift(*kind, memory, spent - 1).is_err());
    }
}
