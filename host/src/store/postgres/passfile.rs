//! libpq's password file.

use std::path::{Path, PathBuf};

/// The password of the first line of the file that fits host, port, database and user.
pub(super) fn look_up(
    file: Option<String>,
    environment: &dyn Fn(&str) -> Option<String>,
    wanted: [&str; 4],
) -> Option<String> {
    let file = match file {
        Some(file) => PathBuf::from(file),
        None if cfg!(windows) => Path::new(&environment("APPDATA")?).join("postgresql").join("pgpass.conf"),
        None => Path::new(&environment("HOME")?).join(".pgpass"),
    };
    let metadata = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %file.display(), "others may read the password file; it is not used until its mode is 0600");
            return None;
        }
    }
    #[cfg(not(unix))]
    drop(metadata);
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| password(line, wanted))
}

fn password(line: &str, wanted: [&str; 4]) -> Option<String> {
    let mut rest = line;
    for (position, wanted) in wanted.into_iter().enumerate() {
        let (field, after) = field(rest)?;
        // What connects through a socket is "localhost" there.
        let socket = position == 0 && wanted.starts_with('/') && field == "localhost";
        if field != "*" && field != wanted && !socket {
            return None;
        }
        rest = after;
    }
    Some(unescape(rest))
}

/// A field up to a colon that is not escaped, and what is behind the colon.
fn field(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            ':' if !escaped => return Some((unescape(&text[..at]), &text[at + 1..])),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let wanted = ["a:b", "5432", "db", "me"];
        assert_eq!(password(r"a\:b:5432:db:me:p\:w\\", wanted).as_deref(), Some(r"p:w\"));
        assert_eq!(password("*:*:*:*:x", wanted).as_deref(), Some("x"));
        for other in ["a:5432:db:me:x", "*:5433:*:*:x", "*:*:*:you:x", "*:*:*", ""] {
            assert_eq!(password(other, wanted), None, "{other}");
        }
        assert_eq!(password("localhost:*:*:*:x", ["/run", "1", "d", "u"]).as_deref(), Some("x"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".pgpass");
        std::fs::write(&file, "# mine\nh:1:d:u:first\n*:*:*:*:second\n").unwrap();
        let home = |name: &str| (name == "HOME").then(|| dir.path().to_str().unwrap().to_owned());
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(look_up(None, &home, ["h", "1", "d", "u"]), None);
        mode(0o600);
        assert_eq!(look_up(None, &home, ["h", "1", "d", "u"]).as_deref(), Some("first"));
        assert_eq!(look_up(None, &home, ["h", "1", "d", "other"]).as_deref(), Some("second"));
    }
}
