// A program in C that uses a tracker. `consumer.h` is generated from the WIT.

#include "consumer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef galaxybrain_tracker_tracker_error_t error_t;

// What C's stdio would do with far more code, which asks for more of a host.
typedef struct {
    char bytes[256];
    size_t length;
} text_t;

static void add_bytes(text_t *text, const void *bytes, size_t length) {
    if (length > sizeof text->bytes - text->length) length = sizeof text->bytes - text->length;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

static void add(text_t *text, const char *bytes) { add_bytes(text, bytes, strlen(bytes)); }

static void add_number(text_t *text, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    add_bytes(text, digits + at, sizeof digits - at);
}

static consumer_string_t string_of(text_t *text) {
    return (consumer_string_t){.ptr = (uint8_t *)text->bytes, .len = text->length};
}

static consumer_string_t literal(const char *bytes) {
    return (consumer_string_t){.ptr = (uint8_t *)bytes, .len = strlen(bytes)};
}

static const char *name_of(const error_t *error) {
    switch (error->tag) {
    case GALAXYBRAIN_TRACKER_TRACKER_ERROR_INVALID_ARGUMENT: return "invalid-argument";
    case GALAXYBRAIN_TRACKER_TRACKER_ERROR_KEY_CONFLICT: return "key-conflict";
    case GALAXYBRAIN_TRACKER_TRACKER_ERROR_CORRUPT: return "corrupt";
    case GALAXYBRAIN_TRACKER_TRACKER_ERROR_INCOMPATIBLE: return "incompatible";
    default: return "store";
    }
}

// The keys of this program use all 64 bits.
static uint64_t key_of(uint32_t number) { return ((uint64_t)1 << 63) + number; }

static bool record_file(uint32_t number, double mtime, error_t *error) {
    text_t path = {.length = 0};
    add(&path, "/src/");
    add_number(&path, number);
    add(&path, ".c");
    consumer_string_t file = string_of(&path), hash = literal("5f1c"), context = literal("context:cli");
    consumer_list_string_t contexts = {.ptr = &context, .len = number % 3 == 0};
    if (!galaxybrain_tracker_tracker_upsert_file(&file, mtime, number, &hash, 0, number, key_of(number), &contexts,
                                                 error))
        return false;
    galaxybrain_tracker_types_symbol_upsert_t symbols[2] = {0};
    for (int i = 0; i < 2; i++) {
        symbols[i].name = literal(i ? "helper" : "main");
        symbols[i].kind = literal("function");
        symbols[i].line_start = 10 * i + 1;
        symbols[i].line_end.is_some = true;
        symbols[i].line_end.val = 10 * i + 5;
        symbols[i].blob_length = 5;
        symbols[i].key_hash = key_of(2 * number + i);
    }
    galaxybrain_tracker_tracker_list_symbol_upsert_t list = {.ptr = symbols, .len = 2};
    consumer_list_u64_t ids;
    if (!galaxybrain_tracker_tracker_replace_symbols(&file, &list, &ids, error)) return false;
    consumer_list_u64_free(&ids);
    return true;
}

// How many files have the context, two a page.
static bool count_in_context(uint64_t *count, error_t *error) {
    consumer_string_t context = literal("context:cli");
    galaxybrain_tracker_tracker_file_page_t page;
    galaxybrain_tracker_tracker_cursor_t after;
    bool more = false;
    *count = 0;
    do {
        bool first = !more;
        bool listed = galaxybrain_tracker_tracker_list_files_by_context(&context, first ? NULL : &after, 2, &page,
                                                                        error);
        if (!first) galaxybrain_tracker_types_cursor_free(&after);
        if (!listed) return false;
        *count += page.items.len;
        more = page.next.is_some;
        if (more) {
            // The cursor outlives its page.
            after = page.next.val;
            page.next.is_some = false;
        }
        galaxybrain_tracker_tracker_file_page_free(&page);
    } while (more);
    return true;
}

static bool run(uint32_t files, text_t *report, error_t *error) {
    if (!galaxybrain_tracker_tracker_begin_batch(error)) return false;
    for (uint32_t i = 0; i < files; i++)
        if (!record_file(i, 1.7e9 + i, error)) return false;
    if (!galaxybrain_tracker_tracker_end_batch(error)) return false;

    // What a discarded batch deletes is still there.
    consumer_string_t first = literal("/src/0.c");
    bool deleted;
    if (!galaxybrain_tracker_tracker_begin_batch(error) ||
        !galaxybrain_tracker_tracker_delete_file(&first, &deleted, error) ||
        !galaxybrain_tracker_tracker_abort_batch(error))
        return false;

    uint64_t count, symbols, in_context;
    if (!galaxybrain_tracker_tracker_file_count(&count, error) ||
        !galaxybrain_tracker_tracker_symbol_count(&symbols, error) || !count_in_context(&in_context, error))
        return false;
    add(report, "files=");
    add_number(report, count);
    add(report, " symbols=");
    add_number(report, symbols);
    add(report, " cli=");
    add_number(report, in_context);
    add(report, deleted ? " deleted=true" : " deleted=false");

    galaxybrain_tracker_tracker_option_file_record_t found;
    if (!galaxybrain_tracker_tracker_get_file_by_key(key_of(1), &found, error)) return false;
    add(report, " found=");
    if (found.is_some) {
        add_bytes(report, found.val.path.ptr, found.val.path.len);
        add(report, " key=");
        add_number(report, found.val.key_hash);
    } else {
        add(report, "nothing");
    }
    galaxybrain_tracker_tracker_option_file_record_free(&found);

    // What is not acceptable is an error with a name, and changes nothing.
    error_t refused;
    add(report, " error=");
    if (record_file(files, NAN, &refused)) {
        add(report, "none");
    } else {
        add(report, name_of(&refused));
        galaxybrain_tracker_tracker_error_free(&refused);
    }
    return true;
}

bool exports_consumer_report(uint32_t files, consumer_string_t *ret, consumer_string_t *err) {
    text_t report = {.length = 0};
    error_t error;
    bool ok = run(files, &report, &error);
    if (!ok) {
        report.length = 0;
        add(&report, name_of(&error));
        galaxybrain_tracker_tracker_error_free(&error);
    }
    consumer_string_dup_n(ok ? ret : err, report.bytes, report.length);
    return ok;
}
