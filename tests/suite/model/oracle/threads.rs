//! Session threads with their files, queries and tools.

use std::cmp::Reverse;

use tracker_host::types::*;

use super::{Answer, Function, Model, contains, first, newest, place, put, read, sorted, tally, write};

impl Model {
    fn thread(&mut self, id: u64) -> Option<&mut ThreadRecord> {
        self.threads.iter_mut().find(|thread| thread.id == id)
    }

    pub(super) fn put_thread(&mut self, thread: ThreadRecord) {
        put(&mut self.threads, thread, |a, b| a.id == b.id);
    }

    pub(super) fn put_thread_file(&mut self, file: ThreadFileRecord) {
        put(&mut self.thread_files, file, |a, b| (a.thread_id, &a.file_path) == (b.thread_id, &b.file_path));
    }

    pub(super) fn put_query(&mut self, query: ThreadQueryRecord) {
        put(&mut self.queries, query, |a, b| a.id == b.id);
    }

    pub(super) fn put_tool(&mut self, tool: ThreadToolRecord) {
        put(&mut self.tools, tool, |a, b| (a.thread_id, &a.tool_name) == (b.thread_id, &b.tool_name));
    }

    /// The threads that are wanted, last touched first.
    fn threads_by_touch(&self, wanted: impl Fn(&ThreadRecord) -> bool) -> Vec<ThreadRecord> {
        sorted(&self.threads, wanted, |thread| vec![newest(thread.last_touch), thread.id.into()])
    }

    /// The queries that are wanted, newest first.
    fn queries_by_time(&self, wanted: impl Fn(&ThreadQueryRecord) -> bool) -> Vec<ThreadQueryRecord> {
        sorted(&self.queries, wanted, |query| vec![newest(query.timestamp), query.id.into()])
    }
}

type Create = (String, String, Option<i64>, Option<i64>);

fn create(model: &mut Model, (session_id, title, centroid_offset, centroid_length): Create) -> Answer<ThreadRecord> {
    let thread = ThreadRecord {
        id: model.next_id("session_threads")?,
        session_id,
        title,
        created_at: model.now,
        last_touch: model.now,
        touches: 1,
        is_active: true,
        centroid_offset,
        centroid_length,
    };
    model.put_thread(thread.clone());
    Ok(thread)
}

fn touch(model: &mut Model, (id,): (u64,)) -> Answer<()> {
    let now = model.now;
    if let Some(thread) = model.thread(id) {
        thread.last_touch = now;
        thread.touches = thread.touches.saturating_add(1);
    }
    Ok(())
}

fn add_file(model: &mut Model, (thread_id, file_path, operation): (u64, String, String)) -> Answer<()> {
    let now = model.now;
    let old = model.thread_files.iter_mut().find(|file| file.thread_id == thread_id && file.file_path == file_path);
    match old {
        Some(file) => {
            file.last_access = now;
            file.access_count = file.access_count.saturating_add(1);
            if operation == "write" || operation == "edit" {
                file.operation = operation;
            }
        }
        None => model.put_thread_file(ThreadFileRecord {
            thread_id,
            file_path,
            operation,
            first_access: now,
            last_access: now,
            access_count: 1,
        }),
    }
    Ok(())
}

type AddQuery = (u64, String, Option<i64>, Option<i64>);

fn add_query(model: &mut Model, (thread_id, query_text, embedding_offset, embedding_length): AddQuery) -> Answer<u64> {
    let id = model.next_id("thread_queries")?;
    let timestamp = model.now;
    model.put_query(ThreadQueryRecord { id, thread_id, query_text, timestamp, embedding_offset, embedding_length });
    Ok(id)
}

fn record_tool(model: &mut Model, (thread_id, tool_name): (u64, String)) -> Answer<()> {
    let now = model.now;
    let old = model.tools.iter_mut().find(|tool| tool.thread_id == thread_id && tool.tool_name == tool_name);
    if let Some(tool) = old {
        tool.tool_count = tool.tool_count.saturating_add(1);
        tool.last_used = now;
        return Ok(());
    }
    let id = model.next_id("thread_tools")?;
    model.put_tool(ThreadToolRecord { id, thread_id, tool_name, tool_count: 1, last_used: now });
    Ok(())
}

fn stats(model: &Model, (): ()) -> ThreadStats {
    let active = model.threads.iter().filter(|thread| thread.is_active).count() as u64;
    let sessions = tally(model.threads.iter().map(|thread| thread.session_id.clone()));
    ThreadStats {
        active_threads: active,
        inactive_threads: model.threads.len() as u64 - active,
        session_count: sessions.len() as u64,
        file_associations: model.thread_files.len() as u64,
        query_count: model.queries.len() as u64,
        tool_associations: model.tools.len() as u64,
        top_session: sessions.into_iter().min_by_key(|(session, count)| (Reverse(*count), session.clone())),
    }
}

pub fn functions() -> Vec<Function> {
    vec![
        write("create-thread", create),
        read("get-thread", |m, (id,): (u64,)| m.threads.iter().find(|thread| thread.id == id).cloned()),
        read("get-threads-for-session", |m, (session,): (String,)| {
            m.threads_by_touch(|thread| thread.is_active && thread.session_id == session)
        }),
        read("get-recent-threads", |m, (limit, active_only): (u32, bool)| {
            first(m.threads_by_touch(|thread| thread.is_active || !active_only), limit)
        }),
        write("touch-thread", touch),
        write("update-thread-centroid", |m, (id, offset, length): (u64, i64, i64)| {
            if let Some(thread) = m.thread(id) {
                (thread.centroid_offset, thread.centroid_length) = (Some(offset), Some(length));
            }
            Ok(())
        }),
        write("deactivate-thread", |m, (id,): (u64,)| {
            if let Some(thread) = m.thread(id) {
                thread.is_active = false;
            }
            Ok(())
        }),
        read("thread-count", |m, (active_only,): (bool,)| {
            m.threads.iter().filter(|thread| thread.is_active || !active_only).count() as u64
        }),
        write("add-thread-file", add_file),
        read("get-thread-files", |m, (id,): (u64,)| {
            let place = |file: &ThreadFileRecord| vec![newest(file.last_access), (&file.file_path).into()];
            sorted(&m.thread_files, |file| file.thread_id == id, place)
        }),
        read("get-threads-for-file", |m, (path,): (String,)| {
            let threads = sorted(&m.thread_files, |file| file.file_path == path, |file| place![file.thread_id]);
            threads.iter().map(|file| file.thread_id).collect::<Vec<_>>()
        }),
        write("add-thread-query", add_query),
        read("get-thread-queries", |m, (id, limit): (u64, u32)| {
            first(m.queries_by_time(|query| query.thread_id == id), limit)
        }),
        read("search-thread-queries", |m, (text, limit): (String, u32)| {
            first(m.queries_by_time(|query| contains(&query.query_text, &text)), limit)
        }),
        write("update-query-embedding", |m, (id, offset, length): (u64, i64, i64)| {
            if let Some(query) = m.queries.iter_mut().find(|query| query.id == id) {
                (query.embedding_offset, query.embedding_length) = (Some(offset), Some(length));
            }
            Ok(())
        }),
        write("record-thread-tool", record_tool),
        read("get-thread-tools", |m, (id,): (u64,)| {
            let mut tools = sorted(&m.tools, |tool| tool.thread_id == id, |tool| place![&tool.tool_name]);
            tools.sort_by_key(|tool| Reverse(tool.tool_count));
            tools
        }),
        read("get-thread-stats", stats),
    ]
}
