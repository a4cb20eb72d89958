// build.mjs <consumer.js> <wit folder> <world> <component>

import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, witPath, worldName, out] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, "utf8"), {
    witPath,
    worldName,
    // Nothing of the outside but the imports.
    disableFeatures: ["random", "stdio", "http", "fetch-event"],
});
await writeFile(out, component);
