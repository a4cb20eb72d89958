//! The SQL: nothing that PostgreSQL, CockroachDB and YugabyteDB do not all document.
//!
//! # Layout
//!
//! A namespace is a schema with three tables:
//!
//! ```text
//! kv1_tables   no integer → name text             the tables of the store
//! kv1_entries  (table_no integer, k bytea) → v    all their entries, in the order of the bytes
//! kv1_commits  id bytea → applied boolean, at     transactions whose client does not yet know that they are committed
//! ```
//!
//! The 1 in the names is the version of this layout: another one has other names.

use tokio_postgres::types::Type;

/// A statement with parameters.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its place among those that a connection prepares.
    pub(super) slot: usize,
    pub(super) sql: String,
    pub(super) types: &'static [Type],
}

/// How many there are.
pub(super) const SLOTS: usize = 19;

/// All statements of a namespace.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) tables: Statement,
    pub(super) add_tables: Statement,
    pub(super) anything: Statement,
    pub(super) get: Statement,
    pub(super) get_many: Statement,
    pub(super) up: Statement,
    pub(super) up_to: Statement,
    pub(super) down: Statement,
    pub(super) down_from: Statement,
    pub(super) count: Statement,
    pub(super) count_of: Statement,
    pub(super) sizes: Statement,
    pub(super) upsert: Statement,
    pub(super) delete: Statement,
    pub(super) clear: Statement,
    pub(super) note: Statement,
    pub(super) fence: Statement,
    pub(super) look_up: Statement,
    pub(super) commits: Statement,
    /// Makes what is missing.
    pub(super) create: Vec<String>,
    /// The namespace, quoted.
    schema: String,
}

pub(super) const BEGIN_READ: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
pub(super) const BEGIN_WRITE: &str = "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE";
/// A statement timeout that ends a commit's wait for a standby would answer
/// that it is committed.
pub(super) const NO_TIMEOUT: &str = "SET LOCAL statement_timeout = 0";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// An identifier as SQL has it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Statements {
    pub(super) fn new(namespace: &str) -> Self {
        let schema = identifier(namespace);
        let entries = format!("{schema}.kv1_entries");
        let tables = format!("{schema}.kv1_tables");
        let commits = format!("{schema}.kv1_commits");
        let mut slot = 0;
        let mut statement = |sql: String, types: &'static [Type]| {
            slot += 1;
            Statement { slot: slot - 1, sql, types }
        };
        let scan = |bounds: &str, order: &str| {
            format!(
                "SELECT k, v FROM {entries} WHERE table_no = $1{bounds} ORDER BY table_no{order}, k{order} LIMIT $2"
            )
        };
        let create = vec![
            format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
            format!("CREATE TABLE IF NOT EXISTS {tables} (no integer PRIMARY KEY, name text NOT NULL UNIQUE)"),
            format!(
                "CREATE TABLE IF NOT EXISTS {entries} (table_no integer NOT NULL, k bytea NOT NULL, v bytea NOT NULL, \
                 PRIMARY KEY (table_no ASC, k ASC))"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {commits} (id bytea PRIMARY KEY, applied boolean NOT NULL, at timestamptz \
                 NOT NULL DEFAULT now())"
            ),
        ];
        let these = Statements {
            tables: statement(format!("SELECT no, name FROM {tables}"), &[]),
            add_tables: statement(
                format!("INSERT INTO {tables} (no, name) SELECT * FROM unnest($1, $2)"),
                &[Type::INT4_ARRAY, Type::TEXT_ARRAY],
            ),
            anything: statement(
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1 LIMIT 1".into(),
                &[Type::TEXT],
            ),
            get: statement(
                format!("SELECT v FROM {entries} WHERE table_no = $1 AND k = $2"),
                &[Type::INT4, Type::BYTEA],
            ),
            get_many: statement(
                format!("SELECT k, v FROM {entries} WHERE table_no = $1 AND k = ANY($2)"),
                &[Type::INT4, Type::BYTEA_ARRAY],
            ),
            up: statement(scan(" AND k >= $3", " ASC"), &[Type::INT4, Type::INT8, Type::BYTEA]),
            up_to: statement(
                scan(" AND k >= $3 AND k < $4", " ASC"),
                &[Type::INT4, Type::INT8, Type::BYTEA, Type::BYTEA],
            ),
            down: statement(scan(" AND k >= $3", " DESC"), &[Type::INT4, Type::INT8, Type::BYTEA]),
            down_from: statement(
                scan(" AND k >= $3 AND k < $4", " DESC"),
                &[Type::INT4, Type::INT8, Type::BYTEA, Type::BYTEA],
            ),
            count: statement(format!("SELECT count(*) FROM {entries} WHERE table_no = $1"), &[Type::INT4]),
            count_of: statement(
                format!("SELECT count(*) FROM {entries} WHERE table_no = $1 AND k = ANY($2)"),
                &[Type::INT4, Type::BYTEA_ARRAY],
            ),
            sizes: statement(
                format!(
                    "SELECT table_no, count(*), sum(octet_length(k) + octet_length(v))::bigint FROM {entries} GROUP BY \
                     table_no"
                ),
                &[],
            ),
            upsert: statement(
                format!(
                    "INSERT INTO {entries} (table_no, k, v) SELECT * FROM unnest($1, $2, $3) ON CONFLICT (table_no, k) \
                     DO UPDATE SET v = excluded.v"
                ),
                &[Type::INT4_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
            ),
            delete: statement(
                format!("DELETE FROM {entries} WHERE table_no = $1 AND k = ANY($2)"),
                &[Type::INT4, Type::BYTEA_ARRAY],
            ),
            clear: statement(format!("DELETE FROM {entries} WHERE table_no = $1"), &[Type::INT4]),
            note: statement(format!("INSERT INTO {commits} (id, applied) VALUES ($1, true)"), &[Type::BYTEA]),
            fence: statement(
                format!("INSERT INTO {commits} (id, applied) VALUES ($1, false) ON CONFLICT (id) DO NOTHING"),
                &[Type::BYTEA],
            ),
            look_up: statement(format!("SELECT applied FROM {commits} WHERE id = $1"), &[Type::BYTEA]),
            commits: statement(format!("SELECT count(*) FROM {commits}"), &[]),
            create,
            schema,
        };
        debug_assert_eq!(slot, SLOTS);
        these
    }

    /// What PostgreSQL, which has no order in a primary key but that of an
    /// index, takes in place of the statement that the others need.
    pub(super) fn without_order(sql: &str) -> String {
        sql.replace(" ASC", "")
    }

    /// Forgets commits whose clients know of them.
    pub(super) fn forget(&self, ids: &[Vec<u8>]) -> String {
        let hex = |id: &Vec<u8>| {
            let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("decode('{digits}', 'hex')")
        };
        let ids: Vec<String> = ids.iter().map(hex).collect();
        format!("DELETE FROM {}.kv1_commits WHERE id IN ({})", self.schema, ids.join(", "))
    }

    /// Forgets commits whose clients have not come back for a day.
    pub(super) fn forget_old(&self) -> String {
        format!("DELETE FROM {}.kv1_commits WHERE at < now() - interval '1 day'", self.schema)
    }

    /// Removes the namespace if it is empty, and not the one that everybody has.
    pub(super) fn drop_schema(&self) -> Option<String> {
        (self.schema != "\"public\"").then(|| format!("DROP SCHEMA {}", self.schema))
    }

    /// Removes the tables of the namespace, and no others.
    pub(super) fn drop_all(&self) -> Vec<String> {
        ["kv1_entries", "kv1_commits", "kv1_tables"]
            .iter()
            .map(|table| format!("DROP TABLE IF EXISTS {}.{table}", self.schema))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_an_identifier_whatever_it_says() {
        let statements = Statements::new("a\"; DROP TABLE x; --");
        assert!(statements.get.sql.contains("FROM \"a\"\"; DROP TABLE x; --\".kv1_entries"), "{}", statements.get.sql);
        let create = Statements::without_order(&statements.create[2]);
        assert!(create.ends_with("PRIMARY KEY (table_no, k))"), "{create}");
    }
}
