// A program in JavaScript that uses a tracker; componentize-js makes it a component.

import * as tracker from "galaxybrain:tracker/tracker@0.1.0";

// The keys of this program use all 64 bits.
const keyOf = (number) => 2n ** 63n + BigInt(number);

function recordFile(number, mtime) {
    const path = `/src/${number}.c`;
    const size = BigInt(number);
    const contexts = number % 3 === 0 ? ["context:cli"] : [];
    tracker.upsertFile(path, mtime, size, "5f1c", 0n, size, keyOf(number), contexts);
    const symbols = ["main", "helper"].map((name, i) => ({
        name,
        kind: "function",
        lineStart: BigInt(10 * i + 1),
        lineEnd: BigInt(10 * i + 5),
        blobOffset: 0n,
        blobLength: 5n,
        keyHash: keyOf(2 * number + i),
    }));
    tracker.replaceSymbols(path, symbols);
}

/** How many files have the context, two a page. */
function countInContext() {
    let count = 0;
    let after;
    do {
        const page = tracker.listFilesByContext("context:cli", after, 2);
        count += page.items.length;
        after = page.next;
    } while (after !== undefined && after !== null);
    return count;
}

function run(files) {
    tracker.beginBatch();
    for (let number = 0; number < files; number++) recordFile(number, 1.7e9 + number);
    tracker.endBatch();

    // What a discarded batch deletes is still there.
    tracker.beginBatch();
    const deleted = tracker.deleteFile("/src/0.c");
    tracker.abortBatch();

    let report = `files=${tracker.fileCount()} symbols=${tracker.symbolCount()}`;
    report += ` cli=${countInContext()} deleted=${deleted}`;
    const found = tracker.getFileByKey(keyOf(1));
    report += " found=" + (found ? `${found.path} key=${found.keyHash}` : "nothing");

    // What is not acceptable is an error with a name, and changes nothing.
    try {
        recordFile(files, NaN);
        return report + " error=none";
    } catch (error) {
        if (!error.payload?.tag) throw error;
        return report + ` error=${error.payload.tag}`;
    }
}

export function report(files) {
    try {
        return run(files);
    } catch (error) {
        throw error.payload?.tag ?? String(error);
    }
}
