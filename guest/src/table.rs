//! The tables, their names on disk and what each is.

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Records, the truth that everything else is derived from.
    Primary,
    /// One entry for each (record, index key).
    Entries,
    /// Key hash → the one record that has it.
    Unique,
    /// Key hash → the first of the records that have it.
    Owners,
    /// Key hash and record key, for the records that are not the first.
    MoreOwners,
    /// Key → the members of a group, in order.
    Groups,
    /// Key → how often it occurs.
    Tallies,
    /// The store's own book-keeping.
    System,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $id:ident $role:ident $name:literal,)+) => {
        /// A table. The number is its position in what `store.open` is given.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Table {
            $($(#[$doc])* $id,)+
        }

        impl Table {
            /// All tables, in the order they are opened.
            pub const ALL: &[Table] = &[$(Table::$id,)+];

            /// Its name in the store.
            pub const fn name(self) -> &'static str {
                match self { $(Table::$id => $name,)+ }
            }

            /// What it holds.
            pub const fn role(self) -> Role {
                match self { $(Table::$id => Role::$role,)+ }
            }
        }
    };
}

tables! {
    /// `format` → the format version; `import` → what an unfinished import noted. First: it names the owner.
    Meta System "meta",
    /// Name → the greatest id given out, u64.
    Counters System "counters",
    /// Tally kind and what is counted → how many, u64.
    Tallies Tallies "tallies",
    /// Vector kind | offset | record key → "".
    Vectors Entries "vectors",

    /// path → FileRecord.
    Files Primary "files",
    /// key_hash → path.
    FilesByKey Owners "files_by_key",
    /// key_hash | path → "".
    FilesByKeyMore MoreOwners "files_by_key_more",
    /// mtime | path → "".
    FilesByMtime Entries "files_by_mtime",
    /// indexed_at, newest first | path → "".
    FilesByIndexed Entries "files_by_indexed",
    /// context 00 path → "".
    FilesByContext Entries "files_by_context",

    /// id → SymbolRecord.
    Symbols Primary "symbols",
    /// path → \[id] (msgpack).
    SymbolsByFile Groups "symbols_by_file",
    /// key_hash → id.
    SymbolsByKey Owners "symbols_by_key",
    /// key_hash | id → "".
    SymbolsByKeyMore MoreOwners "symbols_by_key_more",
    /// name 00 kind 00 FNV-1a of path | id → id.
    SymbolsByName Entries "symbols_by_name",
    /// kind 00 path → (line_start | id)…, 16 bytes each.
    SymbolsByKind Groups "symbols_by_kind",

    /// id → Checkpoint.
    Checkpoints Primary "checkpoints",
    /// created_at, newest first | id → "".
    CheckpointsByCreated Entries "checkpoints_by_created",

    /// key → value.
    Metadata Primary "metadata",

    /// path → TranscriptPosition.
    TranscriptPos Primary "transcript_pos",

    /// id → MemoryRecord.
    Memories Primary "memories",
    /// key_hash → id.
    MemoriesByKey Unique "memories_by_key",
    /// created_at, newest first | id → "".
    MemoriesByCreated Entries "memories_by_created",
    /// task 00 created_at, newest first | id → "".
    MemoriesByTask Entries "memories_by_task",
    /// context 00 created_at, newest first | id → "".
    MemoriesByContext Entries "memories_by_context",
    /// insight 00 created_at, newest first | id → "".
    MemoriesByInsight Entries "memories_by_insight",
    /// tag 00 created_at, newest first | id → "".
    MemoriesByTag Entries "memories_by_tag",

    /// key_hash → PatternRecord.
    Patterns Primary "patterns",
    /// key_hash | path → "".
    PatternFiles Primary "pattern_files",
    /// path 00 key_hash → "".
    PatternsByFile Entries "patterns_by_file",
    /// created_at, newest first | key_hash → "".
    PatternsByCreated Entries "patterns_by_created",
    /// The same, of those that have a vector.
    PatternsEmbedded Entries "patterns_embedded",

    /// id → ThreadRecord.
    Threads Primary "threads",
    /// session_id 00 id → "".
    ThreadsBySess Entries "threads_by_sess",
    /// session_id 00 last_touch, newest first | id → "", of active threads.
    ThreadsActive Entries "threads_active",
    /// 00 | last_touch, newest first | id → "" of all, 01 | the same → "" of active threads.
    ThreadsByTouch Entries "threads_by_touch",
    /// (number of threads, inverted) | session_id → "".
    SessionsBySize Entries "sessions_by_size",

    /// thread_id | path → ThreadFileRecord.
    ThreadFiles Primary "thread_files",
    /// path 00 thread_id → "".
    ThreadsByFile Entries "threads_by_file",

    /// id → QueryRecord.
    ThreadQueries Primary "thread_queries",
    /// thread_id | timestamp, newest first | id → "".
    QueriesByThread Entries "queries_by_thread",
    /// timestamp, newest first | id → "".
    QueriesByTime Entries "queries_by_time",

    /// thread_id | tool → ToolRecord.
    ThreadTools Primary "thread_tools",

    /// id → ConventionRecord.
    Conventions Primary "conventions",
    /// key_hash → id.
    ConventionsByKey Owners "conventions_by_key",
    /// key_hash | id → "".
    ConventionsByKeyMore MoreOwners "conventions_by_key_more",
    /// context 00 id → "".
    ConventionsByScope Entries "conventions_by_scope",
    /// category 00 id → "".
    ConventionsByCategory Entries "conventions_by_cat",
    /// 00, 01 category 00 or 02 org_id 00 | priority rank | name 00 id → "".
    ConventionsRanked Entries "conventions_ranked",
}

impl Table {
    /// The number that the store knows it by.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// True if it can be rebuilt from the primaries.
    pub const fn is_derived(self) -> bool {
        !matches!(self.role(), Role::Primary | Role::System)
    }
}

/// Tables that number their records, by the counter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Symbols.
    Symbols,
    /// Checkpoints.
    Checkpoints,
    /// Threads.
    Threads,
    /// Queries of threads.
    Queries,
    /// Tools of threads.
    Tools,
}

impl Counter {
    /// All counters.
    pub const ALL: [Counter; 5] =
        [Counter::Symbols, Counter::Checkpoints, Counter::Threads, Counter::Queries, Counter::Tools];

    /// Its name: that of the SQLite table.
    pub const fn name(self) -> &'static str {
        match self {
            Counter::Symbols => "symbols",
            Counter::Checkpoints => "checkpoints",
            Counter::Threads => "session_threads",
            Counter::Queries => "thread_queries",
            Counter::Tools => "thread_tools",
        }
    }
}
