//! FileTracker's schema, to the letter: `sqlite_master` of a database that is
//! written is that of one which FileTracker has made.

/// The tables, in the order in which FileTracker creates them.
pub const TABLES: &str = r"
CREATE TABLE files (
                path TEXT PRIMARY KEY,
                mtime REAL NOT NULL,
                size INTEGER NOT NULL,
                content_hash TEXT NOT NULL,
                blob_offset INTEGER NOT NULL,
                blob_length INTEGER NOT NULL,
                key_hash INTEGER NOT NULL,
                indexed_at REAL NOT NULL,
                vector_offset INTEGER,
                vector_length INTEGER,
                detected_contexts TEXT
            );
CREATE TABLE symbols (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                file_path TEXT NOT NULL,
                name TEXT NOT NULL,
                kind TEXT NOT NULL,
                line_start INTEGER NOT NULL,
                line_end INTEGER,
                blob_offset INTEGER NOT NULL,
                blob_length INTEGER NOT NULL,
                key_hash INTEGER NOT NULL,
                vector_offset INTEGER,
                vector_length INTEGER,
                FOREIGN KEY(file_path) REFERENCES files(path) ON DELETE CASCADE
            );
CREATE TABLE checkpoints (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                created_at REAL NOT NULL,
                last_path TEXT NOT NULL,
                total_files INTEGER NOT NULL,
                processed_files INTEGER NOT NULL
            );
CREATE TABLE metadata (
                key TEXT PRIMARY KEY,
                value TEXT NOT NULL
            );
CREATE TABLE memories (
                id TEXT PRIMARY KEY,
                task TEXT,
                insights TEXT,
                context TEXT,
                symbol_keys TEXT,
                text TEXT NOT NULL,
                tags TEXT,
                blob_offset INTEGER NOT NULL,
                blob_length INTEGER NOT NULL,
                key_hash INTEGER UNIQUE NOT NULL,
                created_at REAL NOT NULL,
                updated_at REAL,
                vector_offset INTEGER,
                vector_length INTEGER
            );
CREATE TABLE transcript_positions (
                path TEXT PRIMARY KEY,
                byte_position INTEGER NOT NULL,
                updated_at REAL NOT NULL
            );
CREATE TABLE pattern_caches (
                key_hash INTEGER PRIMARY KEY,
                pattern TEXT NOT NULL,
                tool_type TEXT NOT NULL,
                blob_offset INTEGER NOT NULL,
                blob_length INTEGER NOT NULL,
                created_at REAL NOT NULL,
                vector_offset INTEGER,
                vector_length INTEGER
            );
CREATE TABLE pattern_cache_files (
                pattern_key_hash INTEGER NOT NULL,
                file_path TEXT NOT NULL,
                PRIMARY KEY (pattern_key_hash, file_path),
                FOREIGN KEY(pattern_key_hash)
                    REFERENCES pattern_caches(key_hash) ON DELETE CASCADE
            );
CREATE TABLE session_threads (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                title TEXT NOT NULL,
                created_at REAL NOT NULL,
                last_touch REAL NOT NULL,
                touches INTEGER DEFAULT 1,
                is_active INTEGER DEFAULT 1,
                centroid_offset INTEGER,
                centroid_length INTEGER
            );
CREATE TABLE thread_files (
                thread_id INTEGER NOT NULL,
                file_path TEXT NOT NULL,
                operation TEXT NOT NULL,
                first_access REAL NOT NULL,
                last_access REAL NOT NULL,
                access_count INTEGER DEFAULT 1,
                PRIMARY KEY (thread_id, file_path),
                FOREIGN KEY (thread_id)
                    REFERENCES session_threads(id) ON DELETE CASCADE
            );
CREATE TABLE thread_queries (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                thread_id INTEGER NOT NULL,
                query_text TEXT NOT NULL,
                timestamp REAL NOT NULL,
                embedding_offset INTEGER,
                embedding_length INTEGER,
                FOREIGN KEY (thread_id)
                    REFERENCES session_threads(id) ON DELETE CASCADE
            );
CREATE TABLE thread_tools (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                thread_id INTEGER NOT NULL,
                tool_name TEXT NOT NULL,
                tool_count INTEGER DEFAULT 1,
                last_used REAL NOT NULL,
                FOREIGN KEY (thread_id)
                    REFERENCES session_threads(id) ON DELETE CASCADE
            );
";

/// The indexes. They are made when the rows are there, which is faster.
pub const INDEXES: &str = r"
CREATE INDEX idx_files_mtime ON files(mtime);
CREATE INDEX idx_files_key ON files(key_hash);
CREATE INDEX idx_files_contexts
                ON files(detected_contexts);
CREATE INDEX idx_symbols_file ON symbols(file_path);
CREATE INDEX idx_symbols_key ON symbols(key_hash);
CREATE INDEX idx_symbols_name ON symbols(name);
CREATE INDEX idx_memories_task ON memories(task);
CREATE INDEX idx_memories_key_hash
                ON memories(key_hash);
CREATE INDEX idx_memories_created
                ON memories(created_at);
CREATE INDEX idx_pattern_caches_pattern
                ON pattern_caches(pattern);
CREATE INDEX idx_pattern_cache_files_path
                ON pattern_cache_files(file_path);
CREATE INDEX idx_threads_session
                ON session_threads(session_id);
CREATE INDEX idx_threads_active
                ON session_threads(is_active, last_touch DESC);
CREATE INDEX idx_thread_files_path
                ON thread_files(file_path);
CREATE INDEX idx_thread_queries_thread
                ON thread_queries(thread_id);
CREATE UNIQUE INDEX idx_thread_tools_unique
                ON thread_tools(thread_id, tool_name);
";
