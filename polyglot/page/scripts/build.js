/**
 * Makes `build/tracker.html`: the page, its script, the component and a sample
 * of records in one file, which fetches nothing.
 *
 *     node scripts/build.js <sample.jsonl>
 *
 * The component is in `build/component/`, as `polyglot/js/scripts/transpile.js` makes it.
 */

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const page = join(dirname(fileURLToPath(import.meta.url)), '..');
const [sample] = process.argv.slice(2);
if (sample === undefined) {
  console.error('usage: node scripts/build.js <sample.jsonl>');
  process.exit(2);
}

async function bundled(options) {
  const { outputFiles } = await build({ bundle: true, minify: true, write: false, target: 'es2022', charset: 'utf8', ...options });
  return outputFiles[0].text.trim();
}

// What jco makes can also read files, where there is a Node.js; the page does not ask for it.
const script = await bundled({ entryPoints: [join(page, 'src/main.ts')], format: 'esm', external: ['node:*'] });
const style = await bundled({ entryPoints: [join(page, 'src/style.css')], target: 'chrome123' });

/** An element that holds a file. */
function data(id, type, bytes) {
  return `<script type="${type}" id="${id}">${gzipSync(bytes, { level: 9 }).toString('base64')}</script>`;
}

const component = join(page, 'build/component');
const modules = readdirSync(component).filter((name) => name.endsWith('.wasm'));
const elements = [
  ...modules.map((name) => data(name, 'application/wasm', readFileSync(join(component, name)))),
  data('sample-records', 'application/jsonl', readFileSync(sample)),
];

/** The page runs its own script and style, and loads nothing. */
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)} 'wasm-unsafe-eval'`,
  `style-src ${hash(style)}`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

const parts = { policy, style, script, data: elements.join('\n') };
const html = readFileSync(join(page, 'src/index.html'), 'utf8').replace(/\{(policy|style|data|script)\}/g, (_, name) => parts[name]);
const target = join(page, 'build/tracker.html');
writeFileSync(target, html);
console.log(`${target}: ${Math.round(html.length / 1024)} KB`);
