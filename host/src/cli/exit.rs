//! Exit codes.

use std::process::ExitCode;

/// How a command ended. Wrong usage is 2, by clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed, and the error was printed; or a comparison found differences.
    Failed,
    /// Done, but something needs looking at: rejects, skipped files, findings.
    Noteworthy,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Noteworthy => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_what_the_help_says() {
        assert_eq!([Exit::Done, Exit::Failed, Exit::Noteworthy].map(Exit::code), [0, 1, 3]);
    }
}
