//! The typed calls: one method for each function of `wit/tracker.wit`.

use wasmtime::Store;
use wasmtime::component::{Func, Instance};

use super::{Deadline, INTERFACE, Result, Tracker};
use crate::lend;
use crate::types::*;

macro_rules! typed {
    ($($(#[$doc:meta])* $deadline:ident $name:ident = $call:ident($($arg:ident: $type:ty),*) -> $result:ty;)+) => {
        impl Tracker {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// See [`crate::Error`].
                #[allow(clippy::too_many_arguments, reason = "the parameters are those of the reference")]
                pub fn $name(&mut self, $($arg: $type),*) -> Result<$result> {
                    self.call(stringify!($name), Deadline::$deadline, |session| {
                        session.bindings.galaxybrain_tracker_tracker().$call(&mut session.store, $($arg),*)
                    })
                }
            )+
        }
    };
}

/// Functions whose records are lifted by hand: see [`crate::lift`].
macro_rules! fast {
    ($($(#[$doc:meta])* $name:ident = $export:literal($($arg:ident: $type:ty),*) -> $result:ty;)+) => {
        /// The exported functions.
        pub(super) struct FastFuncs {
            $($name: Func,)+
        }

        impl FastFuncs {
            /// Looks the functions up and checks their types.
            pub(super) fn new<S>(instance: &Instance, mut store: &mut Store<S>) -> wasmtime::Result<Self> {
                let Some(interface) = instance.get_export_index(&mut store, None, INTERFACE) else {
                    wasmtime::bail!("the component does not export {INTERFACE}");
                };
                $(let $name = {
                    let index = instance.get_export_index(&mut store, Some(&interface), $export);
                    let func = index.and_then(|index| instance.get_func(&mut store, index));
                    let Some(func) = func else { wasmtime::bail!("the component does not export {}", $export) };
                    lend::check_fast::<($($type,)*), $result>(&func, &store)?;
                    func
                };)+
                Ok(FastFuncs { $($name),+ })
            }
        }

        impl Tracker {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// See [`crate::Error`].
                pub fn $name(&mut self, $($arg: $type),*) -> Result<$result> {
                    self.call(stringify!($name), Deadline::Call, |session| {
                        lend::call_fast::<_, ($($type,)*), $result>(&session.fast.$name, &mut session.store, ($($arg,)*))
                    })
                }
            )+
        }
    };
}

typed! {
    /// True if the file is not in the store, was modified later than recorded,
    /// or has another size. It misses edits that keep the size and set the
    /// time back: `freshness` does not.
    Call needs_index = call_needs_index(path: &str, mtime: f64, size: i64) -> bool;

    /// Compares files on disk with the store. If a root is given, files of the
    /// store that are the root or lie under it and were not asked about are
    /// returned as vanished; the root `""` is everything.
    Call freshness = call_freshness(stats: &[FileStat], root: Option<&str>) -> FreshnessReport;

    /// True if the file is in the store and has no vector.
    Call needs_embed = call_needs_embed(path: &str) -> bool;

    /// Inserts or updates a file and sets its indexed-at to now. An update keeps the vector.
    /// `invalid-argument` if mtime is not a number.
    Call upsert_file = call_upsert_file(path: &str, mtime: f64, size: i64, content_hash: &str, blob_offset: i64, blob_length: i64, key_hash: u64, contexts: &[String]) -> ();

    /// `upsert-file` for many files, all or none.
    Bulk upsert_files = call_upsert_files(files: &[FileUpsert]) -> ();

    /// Deletes a file and its symbols; symbols of the path go also if there is
    /// no such file. True if there was one.
    Call delete_file = call_delete_file(path: &str) -> bool;

    /// `delete-file` for many files, all or none. The number of files deleted.
    Bulk delete_files = call_delete_files(paths: &[String]) -> u64;

    /// Sets the vector of every file with this key hash. True if there is one.
    Call update_file_vector = call_update_file_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> bool;

    /// The paths of the files that are `root` or lie under it, in order; the
    /// root `""` is everything.
    Call list_paths = call_list_paths(root: &str, after: Option<&Cursor>, limit: u32) -> PathPage;

    /// How many files there are.
    Call file_count = call_file_count() -> u64;

    /// How many files have a vector.
    Call embedded_file_count = call_embedded_file_count() -> u64;

    /// How often each context occurs in files, by context. A context that a
    /// file lists twice counts twice.
    Call get_context_stats = call_get_context_stats() -> Vec<(String, u64)>;

    /// The contexts that occur, in order.
    Call list_available_contexts = call_list_available_contexts() -> Vec<String>;

    /// The contexts of a file; none if there is no such file.
    Call get_contexts_for_file = call_get_contexts_for_file(path: &str) -> Vec<String>;

    /// Stores a file that a team member shared, without a blob, unless a file
    /// of one's own is there. `size` is 0 and `indexed-at` now if not given.
    /// Returns the key hash of the record that is there now.
    Call import_team_file = call_import_team_file(path: &str, size: Option<i64>, indexed_at: Option<f64>, detected_contexts: &[String], key_hash: u64) -> u64;

    /// The key hashes of the symbols of a file, in the order of `get-symbols`.
    Call get_symbol_keys = call_get_symbol_keys(path: &str) -> Vec<u64>;

    /// Inserts a symbol, or updates the one of the same file, name, kind and
    /// line-start, which keeps its id and vector. Returns the id.
    Call upsert_symbol = call_upsert_symbol(file_path: &str, name: &str, kind: &str, line_start: i64, line_end: Option<i64>, blob_offset: i64, blob_length: i64, key_hash: u64) -> u64;

    /// Makes these the symbols of a file: upserts each and deletes the file's
    /// others. Returns the ids in the order given. Of two with the same name,
    /// kind and line-start the later one updates the earlier.
    Call replace_symbols = call_replace_symbols(path: &str, symbols: &[SymbolUpsert]) -> Vec<u64>;

    /// Deletes the symbols of a file and returns how many there were.
    Call delete_symbols = call_delete_symbols(path: &str) -> u64;

    /// Deletes every symbol with this key hash. True if there was one.
    Call delete_symbol_by_key = call_delete_symbol_by_key(key_hash: u64) -> bool;

    /// Sets the vector of every symbol with this key hash. True if there is one.
    Call update_symbol_vector = call_update_symbol_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> bool;

    /// How many symbols there are.
    Call symbol_count = call_symbol_count() -> u64;

    /// How many symbols have a vector.
    Call embedded_symbol_count = call_embedded_symbol_count() -> u64;

    /// The symbols of the files indexed last: by the file's indexed-at, newest
    /// first, then by id, highest first. Symbols of files not in the store are left out.
    Call get_recent_symbols = call_get_recent_symbols(limit: u32) -> Vec<RecentSymbol>;

    /// How many symbols there are of each kind that begins with `insight:`
    /// (ASCII letters compared without case), by kind.
    Call get_insight_stats = call_get_insight_stats() -> Vec<(String, u64)>;

    /// The kinds of `get-insight-stats`.
    Call list_available_insights = call_list_available_insights() -> Vec<String>;

    /// Sums over all vectors that a record points to.
    Call live_vector_stats = call_live_vector_stats() -> VectorStats;

    /// All vectors that a record points to: those of files, then symbols,
    /// memories and patterns; in each by offset and then by the record's key.
    Call list_live_vectors = call_list_live_vectors(after: Option<&Cursor>, limit: u32) -> VectorPage;

    /// Tells the tracker that vectors have moved: every record that points to
    /// an old offset is changed, and with it all records of its table that
    /// share its key hash. Returns the number of records that pointed to an old
    /// offset. `invalid-argument` if an old offset is given twice.
    Bulk update_vector_offsets = call_update_vector_offsets(moves: &[VectorMove]) -> u64;

    /// Saves a checkpoint and returns its id.
    Call save_checkpoint = call_save_checkpoint(processed_files: i64, total_files: i64, last_path: &str) -> u64;

    /// The checkpoint created last; of several the one with the lowest id.
    Call get_latest_checkpoint = call_get_latest_checkpoint() -> Option<Checkpoint>;

    /// Deletes all checkpoints and returns how many there were.
    Bulk clear_checkpoints = call_clear_checkpoints() -> u64;

    /// The value of a key.
    Call get_metadata = call_get_metadata(key: &str) -> Option<String>;

    /// Sets the value of a key.
    Call set_metadata = call_set_metadata(key: &str, value: &str) -> ();

    /// How far a transcript was read; 0 if nothing is recorded.
    Call get_transcript_position = call_get_transcript_position(path: &str) -> i64;

    /// All transcripts and how far they were read, by path.
    Call get_all_transcript_positions = call_get_all_transcript_positions() -> Vec<(String, i64)>;

    /// Records how far a transcript was read.
    Call set_transcript_position = call_set_transcript_position(path: &str, position: i64) -> ();

    /// Deletes all positions and returns how many there were.
    Bulk clear_transcript_positions = call_clear_transcript_positions() -> u64;

    /// Inserts or updates a memory. An update sets updated-at and keeps
    /// created-at and the vector; the access count starts again.
    /// `key-conflict` if another memory has the key hash.
    Call upsert_memory = call_upsert_memory(id: &str, task: Option<&str>, insights: &[String], context: &[String], symbol_keys: &[u64], text: &str, tags: &[String], blob_offset: i64, blob_length: i64, key_hash: u64, owner_id: Option<&str>, is_team: bool) -> ();

    /// Deletes a memory. True if there was one.
    Call delete_memory = call_delete_memory(memory_id: &str) -> bool;

    /// How many memories there are.
    Call memory_count = call_memory_count() -> u64;

    /// Sets the vector of the memory with this key hash. True if there is one.
    Call update_memory_vector = call_update_memory_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> bool;

    /// Counts an access to a memory. True if there is one.
    Call record_memory_access = call_record_memory_access(memory_id: &str) -> bool;

    /// Inserts or updates a pattern, sets its created-at to now and replaces
    /// its matched files. An update keeps the vector. `invalid-argument` if a
    /// file is given twice.
    Call cache_pattern = call_cache_pattern(key_hash: u64, pattern: &str, tool_type: &str, matched_files: &[String], blob_offset: i64, blob_length: i64) -> ();

    /// The pattern with this key hash.
    Call get_pattern_cache = call_get_pattern_cache(key_hash: u64) -> Option<PatternRecord>;

    /// The key hashes of the patterns that matched a file, ascending.
    Call get_patterns_for_file = call_get_patterns_for_file(file_path: &str) -> Vec<u64>;

    /// Deletes the patterns that matched a file, with all their links. Returns how many keys were linked.
    Call evict_patterns_for_file = call_evict_patterns_for_file(file_path: &str) -> u64;

    /// Deletes the patterns cached more than so many seconds ago, with their links. Returns how many.
    /// The reference's default is 604800, a week. `invalid-argument` if the age is not a number.
    Bulk evict_patterns_by_ttl = call_evict_patterns_by_ttl(max_age_seconds: f64) -> u64;

    /// Sets the vector of the pattern with this key hash. True if there is one.
    Call update_pattern_vector = call_update_pattern_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> bool;

    /// How many patterns there are.
    Call count_pattern_caches = call_count_pattern_caches() -> u64;

    /// Deletes all patterns and links. Returns how many patterns there were.
    Bulk clear_pattern_caches = call_clear_pattern_caches() -> u64;

    /// The patterns cached last, newest first.
    Call get_recent_patterns = call_get_recent_patterns(limit: u32) -> Vec<PatternRecord>;

    /// The patterns that have a vector, newest first.
    Call list_patterns = call_list_patterns(after: Option<&Cursor>, limit: u32) -> PatternPage;

    /// Creates an active thread, touched once.
    Call create_thread = call_create_thread(session_id: &str, title: &str, centroid_offset: Option<i64>, centroid_length: Option<i64>) -> ThreadRecord;

    /// The thread with this id, active or not.
    Call get_thread = call_get_thread(thread_id: u64) -> Option<ThreadRecord>;

    /// The active threads of a session, last touched first.
    Call get_threads_for_session = call_get_threads_for_session(session_id: &str) -> Vec<ThreadRecord>;

    /// The threads touched last.
    Call get_recent_threads = call_get_recent_threads(limit: u32, active_only: bool) -> Vec<ThreadRecord>;

    /// Touches a thread: last-touch is now, touches one more. Nothing happens if there is none.
    Call touch_thread = call_touch_thread(thread_id: u64) -> ();

    /// Sets a thread's centroid. Nothing happens if there is none.
    Call update_thread_centroid = call_update_thread_centroid(thread_id: u64, centroid_offset: i64, centroid_length: i64) -> ();

    /// Makes a thread inactive, for good. Nothing happens if there is none.
    Call deactivate_thread = call_deactivate_thread(thread_id: u64) -> ();

    /// How many threads there are, or how many are active.
    Call thread_count = call_thread_count(active_only: bool) -> u64;

    /// Records that a thread worked on a file. The first operation is kept
    /// until a `write` or `edit` replaces it.
    Call add_thread_file = call_add_thread_file(thread_id: u64, file_path: &str, operation: &str) -> ();

    /// The files of a thread, last accessed first.
    Call get_thread_files = call_get_thread_files(thread_id: u64) -> Vec<ThreadFileRecord>;

    /// The threads that worked on a file, active or not, ascending.
    Call get_threads_for_file = call_get_threads_for_file(file_path: &str) -> Vec<u64>;

    /// Records a query and returns its id.
    Call add_thread_query = call_add_thread_query(thread_id: u64, query_text: &str, embedding_offset: Option<i64>, embedding_length: Option<i64>) -> u64;

    /// The queries of a thread, newest first.
    Call get_thread_queries = call_get_thread_queries(thread_id: u64, limit: u32) -> Vec<ThreadQueryRecord>;

    /// The queries of all threads whose text contains this, ASCII letters
    /// compared without case, newest first.
    Call search_thread_queries = call_search_thread_queries(search_text: &str, limit: u32) -> Vec<ThreadQueryRecord>;

    /// Sets a query's embedding. Nothing happens if there is none.
    Call update_query_embedding = call_update_query_embedding(query_id: u64, embedding_offset: i64, embedding_length: i64) -> ();

    /// Records that a thread used a tool.
    Call record_thread_tool = call_record_thread_tool(thread_id: u64, tool_name: &str) -> ();

    /// The tools of a thread, most used first.
    Call get_thread_tools = call_get_thread_tools(thread_id: u64) -> Vec<ThreadToolRecord>;

    /// Figures over all threads.
    Call get_thread_stats = call_get_thread_stats() -> ThreadStats;

    /// Inserts or updates a convention. An update sets updated-at, keeps
    /// created-at, times-applied and last-applied, and resets the vector.
    Call upsert_convention = call_upsert_convention(id: &str, name: &str, description: &str, category: &str, scope: &[String], priority: &str, good_examples: &[String], bad_examples: &[String], pattern: Option<&str>, tags: &[String], org_id: Option<&str>, blob_offset: i64, blob_length: i64, key_hash: u64) -> ();

    /// The convention with this id.
    Call get_convention = call_get_convention(id: &str) -> Option<ConventionRecord>;

    /// The convention with this key hash; of several the one whose id is first.
    Call get_convention_by_key = call_get_convention_by_key(key_hash: u64) -> Option<ConventionRecord>;

    /// The conventions of this category, priority and organisation that hold in
    /// any of these contexts or everywhere; an empty text or list is no
    /// condition. Ordered by priority (required, recommended, optional,
    /// others), then name, then id.
    Call query_conventions = call_query_conventions(category: Option<&str>, scope_filter: &[String], priority: Option<&str>, org_id: Option<&str>, limit: u32, offset: u32) -> Vec<ConventionRecord>;

    /// All conventions by id.
    Call list_conventions = call_list_conventions(after: Option<&Cursor>, limit: u32) -> ConventionPage;

    /// The conventions that name this context in their scope, by id.
    Call list_conventions_by_scope = call_list_conventions_by_scope(context: &str, after: Option<&Cursor>, limit: u32) -> ConventionPage;

    /// The conventions of a category, by id.
    Call list_conventions_by_category = call_list_conventions_by_category(category: &str, after: Option<&Cursor>, limit: u32) -> ConventionPage;

    /// Deletes a convention. True if there was one.
    Call delete_convention = call_delete_convention(id: &str) -> bool;

    /// Counts an application of a convention. True if there is one.
    Call record_convention_applied = call_record_convention_applied(id: &str) -> bool;

    /// Sets the vector of every convention with this key hash. True if there is one.
    Call update_convention_vector = call_update_convention_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> bool;

    /// How many conventions there are.
    Call convention_count = call_convention_count() -> u64;

    /// How many conventions each category has, by category.
    Call get_convention_stats = call_get_convention_stats() -> Vec<(String, u64)>;

    /// Writes rows as they are: ids, times, vectors and JSON text are kept, and
    /// counters advance past the ids. A row whose key is there replaces it. All
    /// or none. `key-conflict` as for the upserts; `invalid-argument` for a
    /// pattern that lists a file twice.
    Bulk import_rows = call_import_rows(rows: &[Row]) -> ();

    /// The rows of one kind in key order, as they are kept.
    Call export_rows = call_export_rows(kind: RowKind, after: Option<&Cursor>, limit: u32) -> RowPage;

    /// The rows with the keys of these, in their order; what the rows hold
    /// besides the key is not looked at. For comparing with a source.
    Call find_rows = call_find_rows(rows: &[Row]) -> Vec<Option<Row>>;

    /// How many rows of a kind there are.
    Call count_rows = call_count_rows(kind: RowKind) -> u64;

    /// Notes that an import is under way, in words of the importer's; none when it is complete.
    Call set_import_state = call_set_import_state(state: Option<&str>) -> ();

    /// What `set-import-state` noted. A store that answers something is incomplete.
    Call get_import_state = call_get_import_state() -> Option<String>;

    /// Checks every record, every index against its records and every record
    /// against its indexes. Reads everything once.
    Bulk verify = call_verify() -> VerifyReport;

    /// Rebuilds all indexes, tallies and key owners from the records and raises
    /// counters that lag behind the ids. Returns the number of records read.
    /// Records that cannot be decoded are passed over; `verify` names them.
    Bulk reindex = call_reindex() -> u64;
}

fast! {
    /// The file with this path.
    get_file = "get-file"(path: &str) -> Option<FileRecord>;

    /// The files with these paths, in the order asked.
    get_files = "get-files"(paths: &[String]) -> Vec<Option<FileRecord>>;

    /// The file with this key hash; of several the one whose path is first.
    get_file_by_key = "get-file-by-key"(key_hash: u64) -> Option<FileRecord>;

    /// All files by path.
    list_files = "list-files"(after: Option<&Cursor>, limit: u32) -> FilePage;

    /// The files that have the context among theirs, by path.
    list_files_by_context = "list-files-by-context"(context: &str, after: Option<&Cursor>, limit: u32) -> FilePage;

    /// The files indexed last, newest first.
    get_recent_files = "get-recent-files"(limit: u32) -> Vec<FileRecord>;

    /// The symbols of a file by id.
    get_symbols = "get-symbols"(path: &str) -> Vec<SymbolRecord>;

    /// The symbol with this key hash; of several the one with the lowest id.
    get_symbol_by_key = "get-symbol-by-key"(key_hash: u64) -> Option<SymbolRecord>;

    /// All symbols by name, file and id. With a filter those whose name
    /// contains it, ASCII letters compared without case; `""` is no filter.
    list_all_symbols = "list-all-symbols"(name_filter: Option<&str>, after: Option<&Cursor>, limit: u32) -> SymbolPage;

    /// The symbols of exactly this kind, which may be any, by file, line-start and id.
    list_insights_by_type = "list-insights-by-type"(insight_type: &str, after: Option<&Cursor>, limit: u32) -> SymbolPage;

    /// The memory with this id.
    get_memory = "get-memory"(memory_id: &str) -> Option<MemoryRecord>;

    /// The memory with this key hash.
    get_memory_by_key = "get-memory-by-key"(key_hash: u64) -> Option<MemoryRecord>;

    /// The memories that have the task and all of the contexts, insights and
    /// tags, newest first. An empty task or list is no condition. Vectors are
    /// left out of the records.
    query_memories = "query-memories"(task: Option<&str>, context_filter: &[String], insight_filter: &[String], tags: &[String], limit: u32, offset: u32) -> Vec<MemoryRecord>;

    /// All memories, newest first. Vectors are left out of the records.
    list_memories = "list-memories"(after: Option<&Cursor>, limit: u32) -> MemoryPage;

    /// The memories created last, newest first, with their vectors.
    get_recent_memories = "get-recent-memories"(limit: u32) -> Vec<MemoryRecord>;
}
