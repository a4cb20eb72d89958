//! The WIT interface: each function, in the interface's order, and where it is;
//! but for those in `abi/exports.rs`.

use crate::error::Result;
use crate::index::VectorKind;
use crate::tracker::Guest;
use crate::types::*;
use crate::{
    Tracker, checkpoints, conventions, files, freshness, memories, metadata, patterns, rows, session, symbols, threads,
    transcripts, vectors, verify,
};

/// The names of what was counted.
fn names(stats: Vec<(String, u64)>) -> Vec<String> {
    stats.into_iter().map(|(name, _)| name).collect()
}

impl Guest for Tracker {
    fn begin_batch() -> Result<()> {
        session::begin_batch()
    }
    fn end_batch() -> Result<()> {
        session::end_batch()
    }
    fn abort_batch() -> Result<()> {
        session::abort_batch();
        Ok(())
    }

    fn needs_index(path: String, mtime: f64, size: i64) -> Result<bool> {
        files::needs_index(&path, mtime, size)
    }
    fn freshness(stats: Vec<FileStat>, root: Option<String>) -> Result<FreshnessReport> {
        freshness::check(&stats, root.as_deref())
    }
    fn needs_embed(path: String) -> Result<bool> {
        files::needs_embed(&path)
    }
    fn upsert_file(
        path: String,
        mtime: f64,
        size: i64,
        content_hash: String,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        contexts: Vec<String>,
    ) -> Result<()> {
        files::upsert(FileUpsert { path, mtime, size, content_hash, blob_offset, blob_length, key_hash, contexts })
    }
    fn upsert_files(files: Vec<FileUpsert>) -> Result<()> {
        files::upsert_many(&files)
    }
    fn delete_file(path: String) -> Result<bool> {
        files::delete(&path)
    }
    fn delete_files(paths: Vec<String>) -> Result<u64> {
        files::delete_many(&paths)
    }
    fn update_file_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> Result<bool> {
        files::update_vector(key_hash, vector_offset, vector_length)
    }
    fn list_paths(root: String, after: Option<Cursor>, limit: u32) -> Result<PathPage> {
        files::list_paths(&root, after.as_deref(), limit)
    }
    fn file_count() -> Result<u64> {
        files::count()
    }
    fn embedded_file_count() -> Result<u64> {
        vectors::count_of(VectorKind::File)
    }
    fn get_context_stats() -> Result<Vec<(String, u64)>> {
        files::context_stats()
    }
    fn list_available_contexts() -> Result<Vec<String>> {
        files::context_stats().map(names)
    }
    fn get_contexts_for_file(path: String) -> Result<Vec<String>> {
        files::contexts(&path)
    }
    fn import_team_file(
        path: String,
        size: Option<i64>,
        indexed_at: Option<f64>,
        detected_contexts: Vec<String>,
        key_hash: u64,
    ) -> Result<u64> {
        files::import_team(&path, size, indexed_at, &detected_contexts, key_hash)
    }

    fn get_symbol_keys(path: String) -> Result<Vec<u64>> {
        symbols::keys_of_file(&path)
    }
    fn upsert_symbol(
        file_path: String,
        name: String,
        kind: String,
        line_start: i64,
        line_end: Option<i64>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
    ) -> Result<u64> {
        let symbol = SymbolUpsert { name, kind, line_start, line_end, blob_offset, blob_length, key_hash };
        symbols::upsert(&file_path, &symbol)
    }
    fn replace_symbols(path: String, symbols: Vec<SymbolUpsert>) -> Result<Vec<u64>> {
        symbols::replace(&path, &symbols)
    }
    fn delete_symbols(path: String) -> Result<u64> {
        symbols::delete(&path)
    }
    fn delete_symbol_by_key(key_hash: u64) -> Result<bool> {
        symbols::delete_by_key(key_hash)
    }
    fn update_symbol_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> Result<bool> {
        symbols::update_vector(key_hash, vector_offset, vector_length)
    }
    fn symbol_count() -> Result<u64> {
        symbols::count()
    }
    fn embedded_symbol_count() -> Result<u64> {
        vectors::count_of(VectorKind::Symbol)
    }
    fn list_all_symbols(name_filter: Option<String>, after: Option<Cursor>, limit: u32) -> Result<SymbolPage> {
        symbols::list_all(name_filter.as_deref(), after.as_deref(), limit)
    }
    fn get_recent_symbols(limit: u32) -> Result<Vec<RecentSymbol>> {
        symbols::recent(limit)
    }
    fn get_insight_stats() -> Result<Vec<(String, u64)>> {
        symbols::insight_stats()
    }
    fn list_available_insights() -> Result<Vec<String>> {
        symbols::insight_stats().map(names)
    }
    fn list_insights_by_type(insight_type: String, after: Option<Cursor>, limit: u32) -> Result<SymbolPage> {
        symbols::list_by_kind(&insight_type, after.as_deref(), limit)
    }

    fn live_vector_stats() -> Result<VectorStats> {
        vectors::stats()
    }
    fn list_live_vectors(after: Option<Cursor>, limit: u32) -> Result<VectorPage> {
        vectors::list_live(after.as_deref(), limit)
    }
    fn update_vector_offsets(moves: Vec<VectorMove>) -> Result<u64> {
        vectors::update_offsets(&moves)
    }

    fn save_checkpoint(processed_files: i64, total_files: i64, last_path: String) -> Result<u64> {
        checkpoints::save(processed_files, total_files, &last_path)
    }
    fn get_latest_checkpoint() -> Result<Option<Checkpoint>> {
        checkpoints::latest()
    }
    fn clear_checkpoints() -> Result<u64> {
        checkpoints::clear()
    }

    fn get_metadata(key: String) -> Result<Option<String>> {
        metadata::get(&key)
    }
    fn set_metadata(key: String, value: String) -> Result<()> {
        metadata::set(&key, &value)
    }

    fn get_transcript_position(path: String) -> Result<i64> {
        transcripts::get(&path)
    }
    fn get_all_transcript_positions() -> Result<Vec<(String, i64)>> {
        transcripts::get_all()
    }
    fn set_transcript_position(path: String, position: i64) -> Result<()> {
        transcripts::set(&path, position)
    }
    fn clear_transcript_positions() -> Result<u64> {
        transcripts::clear()
    }

    fn upsert_memory(
        id: String,
        task: Option<String>,
        insights: Vec<String>,
        context: Vec<String>,
        symbol_keys: Vec<u64>,
        text: String,
        tags: Vec<String>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        owner_id: Option<String>,
        is_team: bool,
    ) -> Result<()> {
        memories::upsert(&MemoryRecord {
            id,
            task,
            insights,
            context,
            symbol_keys,
            text,
            tags,
            blob_offset,
            blob_length,
            key_hash,
            owner_id,
            is_team,
            // Set by the tracker.
            created_at: 0.0,
            updated_at: None,
            vector_offset: None,
            vector_length: None,
            access_count: 0,
            last_accessed: None,
        })
    }
    fn get_memory(memory_id: String) -> Result<Option<MemoryRecord>> {
        memories::get(&memory_id)
    }
    fn get_memory_by_key(key_hash: u64) -> Result<Option<MemoryRecord>> {
        memories::get_by_key(key_hash)
    }
    fn query_memories(
        task: Option<String>,
        context_filter: Vec<String>,
        insight_filter: Vec<String>,
        tags: Vec<String>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<MemoryRecord>> {
        memories::query(task.as_deref(), &context_filter, &insight_filter, &tags, limit, offset)
    }
    fn delete_memory(memory_id: String) -> Result<bool> {
        memories::delete(&memory_id)
    }
    fn memory_count() -> Result<u64> {
        memories::count()
    }
    fn list_memories(after: Option<Cursor>, limit: u32) -> Result<MemoryPage> {
        memories::list(after.as_deref(), limit)
    }
    fn get_recent_memories(limit: u32) -> Result<Vec<MemoryRecord>> {
        memories::recent(limit)
    }
    fn update_memory_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> Result<bool> {
        memories::update_vector(key_hash, vector_offset, vector_length)
    }
    fn record_memory_access(memory_id: String) -> Result<bool> {
        memories::record_access(&memory_id)
    }

    fn cache_pattern(
        key_hash: u64,
        pattern: String,
        tool_type: String,
        matched_files: Vec<String>,
        blob_offset: i64,
        blob_length: i64,
    ) -> Result<()> {
        patterns::cache(key_hash, &pattern, &tool_type, &matched_files, blob_offset, blob_length)
    }
    fn get_pattern_cache(key_hash: u64) -> Result<Option<PatternRecord>> {
        patterns::get(key_hash)
    }
    fn get_patterns_for_file(file_path: String) -> Result<Vec<u64>> {
        patterns::for_file(&file_path)
    }
    fn evict_patterns_for_file(file_path: String) -> Result<u64> {
        patterns::evict_for_file(&file_path)
    }
    fn evict_patterns_by_ttl(max_age_seconds: f64) -> Result<u64> {
        patterns::evict_by_ttl(max_age_seconds)
    }
    fn update_pattern_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> Result<bool> {
        patterns::update_vector(key_hash, vector_offset, vector_length)
    }
    fn count_pattern_caches() -> Result<u64> {
        patterns::count()
    }
    fn clear_pattern_caches() -> Result<u64> {
        patterns::clear()
    }
    fn get_recent_patterns(limit: u32) -> Result<Vec<PatternRecord>> {
        patterns::recent(limit)
    }
    fn list_patterns(after: Option<Cursor>, limit: u32) -> Result<PatternPage> {
        patterns::list_embedded(after.as_deref(), limit)
    }

    fn create_thread(
        session_id: String,
        title: String,
        centroid_offset: Option<i64>,
        centroid_length: Option<i64>,
    ) -> Result<ThreadRecord> {
        threads::create(&session_id, &title, centroid_offset, centroid_length)
    }
    fn get_thread(thread_id: u64) -> Result<Option<ThreadRecord>> {
        threads::get(thread_id)
    }
    fn get_threads_for_session(session_id: String) -> Result<Vec<ThreadRecord>> {
        threads::for_session(&session_id)
    }
    fn get_recent_threads(limit: u32, active_only: bool) -> Result<Vec<ThreadRecord>> {
        threads::recent(limit, active_only)
    }
    fn touch_thread(thread_id: u64) -> Result<()> {
        threads::touch(thread_id)
    }
    fn update_thread_centroid(thread_id: u64, centroid_offset: i64, centroid_length: i64) -> Result<()> {
        threads::update_centroid(thread_id, centroid_offset, centroid_length)
    }
    fn deactivate_thread(thread_id: u64) -> Result<()> {
        threads::deactivate(thread_id)
    }
    fn thread_count(active_only: bool) -> Result<u64> {
        threads::count(active_only)
    }
    fn add_thread_file(thread_id: u64, file_path: String, operation: String) -> Result<()> {
        threads::files::add(thread_id, &file_path, &operation)
    }
    fn get_thread_files(thread_id: u64) -> Result<Vec<ThreadFileRecord>> {
        threads::files::of_thread(thread_id)
    }
    fn get_threads_for_file(file_path: String) -> Result<Vec<u64>> {
        threads::files::threads_of(&file_path)
    }
    fn add_thread_query(
        thread_id: u64,
        query_text: String,
        embedding_offset: Option<i64>,
        embedding_length: Option<i64>,
    ) -> Result<u64> {
        threads::queries::add(thread_id, &query_text, embedding_offset, embedding_length)
    }
    fn get_thread_queries(thread_id: u64, limit: u32) -> Result<Vec<ThreadQueryRecord>> {
        threads::queries::of_thread(thread_id, limit)
    }
    fn search_thread_queries(search_text: String, limit: u32) -> Result<Vec<ThreadQueryRecord>> {
        threads::queries::search(&search_text, limit)
    }
    fn update_query_embedding(query_id: u64, embedding_offset: i64, embedding_length: i64) -> Result<()> {
        threads::queries::update_embedding(query_id, embedding_offset, embedding_length)
    }
    fn record_thread_tool(thread_id: u64, tool_name: String) -> Result<()> {
        threads::tools::record(thread_id, &tool_name)
    }
    fn get_thread_tools(thread_id: u64) -> Result<Vec<ThreadToolRecord>> {
        threads::tools::of_thread(thread_id)
    }
    fn get_thread_stats() -> Result<ThreadStats> {
        threads::stats()
    }

    fn upsert_convention(
        id: String,
        name: String,
        description: String,
        category: String,
        scope: Vec<String>,
        priority: String,
        good_examples: Vec<String>,
        bad_examples: Vec<String>,
        pattern: Option<String>,
        tags: Vec<String>,
        org_id: Option<String>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
    ) -> Result<()> {
        conventions::upsert(&ConventionRecord {
            id,
            name,
            description,
            category,
            scope,
            priority,
            good_examples,
            bad_examples,
            pattern,
            tags,
            org_id,
            blob_offset,
            blob_length,
            key_hash,
            // Set by the tracker.
            created_at: 0.0,
            updated_at: None,
            vector_offset: None,
            vector_length: None,
            times_applied: 0,
            last_applied: None,
        })
    }
    fn get_convention(id: String) -> Result<Option<ConventionRecord>> {
        conventions::get(&id)
    }
    fn get_convention_by_key(key_hash: u64) -> Result<Option<ConventionRecord>> {
        conventions::get_by_key(key_hash)
    }
    fn query_conventions(
        category: Option<String>,
        scope_filter: Vec<String>,
        priority: Option<String>,
        org_id: Option<String>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ConventionRecord>> {
        let (category, priority, org_id) = (category.as_deref(), priority.as_deref(), org_id.as_deref());
        conventions::query(category, &scope_filter, priority, org_id, limit, offset)
    }
    fn list_conventions(after: Option<Cursor>, limit: u32) -> Result<ConventionPage> {
        conventions::list(after.as_deref(), limit)
    }
    fn list_conventions_by_scope(context: String, after: Option<Cursor>, limit: u32) -> Result<ConventionPage> {
        conventions::list_by_scope(&context, after.as_deref(), limit)
    }
    fn list_conventions_by_category(category: String, after: Option<Cursor>, limit: u32) -> Result<ConventionPage> {
        conventions::list_by_category(&category, after.as_deref(), limit)
    }
    fn delete_convention(id: String) -> Result<bool> {
        conventions::delete(&id)
    }
    fn record_convention_applied(id: String) -> Result<bool> {
        conventions::record_applied(&id)
    }
    fn update_convention_vector(key_hash: u64, vector_offset: i64, vector_length: i64) -> Result<bool> {
        conventions::update_vector(key_hash, vector_offset, vector_length)
    }
    fn convention_count() -> Result<u64> {
        conventions::count()
    }
    fn get_convention_stats() -> Result<Vec<(String, u64)>> {
        conventions::stats()
    }

    fn import_rows(rows: Vec<Row>) -> Result<()> {
        rows::import(&rows)
    }
    fn export_rows(kind: RowKind, after: Option<Cursor>, limit: u32) -> Result<RowPage> {
        rows::export(kind, after.as_deref(), limit)
    }
    fn find_rows(rows: Vec<Row>) -> Result<Vec<Option<Row>>> {
        rows::find(&rows)
    }
    fn count_rows(kind: RowKind) -> Result<u64> {
        rows::count(kind)
    }
    fn set_import_state(state: Option<String>) -> Result<()> {
        rows::set_import_state(state.as_deref())
    }
    fn get_import_state() -> Result<Option<String>> {
        rows::import_state()
    }
    fn verify() -> Result<VerifyReport> {
        verify::verify()
    }
    fn reindex() -> Result<u64> {
        verify::reindex()
    }
}
