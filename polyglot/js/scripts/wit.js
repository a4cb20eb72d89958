/** Reads the parts of WIT that `wit/tracker.wit` and `wit/types.wit` are written in. */

const PRIMITIVES = new Set(['bool', 'u8', 'u16', 'u32', 'u64', 's32', 's64', 'f64', 'string']);

const camel = (name) => name.replace(/-([a-z0-9])/g, (_, letter) => letter.toUpperCase());

/** Splits a text into words, punctuation, documentation and headings. */
function tokens(text, file) {
  const pattern = /(\/\/\/[^\n]*)|(\/\/[^\n]*)|([a-z%][a-z0-9-]*)|(->|[{}()<>:;,=@./_]|[0-9]+)|(\s+)/gy;
  const found = [];
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) throw new Error(`${file}: cannot read ${JSON.stringify(text.slice(at, at + 20))}`);
    const [whole, docs, heading, word, mark] = match;
    if (docs !== undefined) found.push({ kind: 'docs', text: docs.replace(/^\/\/\/ ?/, '') });
    else if (heading !== undefined) found.push({ kind: 'heading', text: heading.replace(/^\/\/ ?/, '') });
    else if (word !== undefined || mark !== undefined) found.push({ kind: 'token', text: whole });
  }
  return found;
}

class Reader {
  constructor(text, file) {
    this.tokens = tokens(text, file);
    this.file = file;
    this.at = 0;
    this.section = '';
    this.functions = [];
    this.types = {};
  }

  fail(reason) {
    const near = this.tokens.slice(this.at, this.at + 5).map(({ text }) => text);
    throw new Error(`${this.file}: ${reason} at: ${near.join(' ')}`);
  }

  /** Passes over documentation and headings; the documentation right before a token is its own. */
  docs() {
    let docs = [];
    let heading = [];
    for (; this.tokens[this.at] && this.tokens[this.at].kind !== 'token'; this.at++) {
      const { kind, text } = this.tokens[this.at];
      if (kind === 'heading') heading.push(text);
      else docs.push(text);
    }
    // A heading is a line of its own; longer ones are remarks.
    if (heading.length === 1) [this.section] = heading;
    return docs.join('\n').trim();
  }

  peek() {
    return this.tokens[this.at]?.kind === 'token' ? this.tokens[this.at].text : undefined;
  }

  take(expected) {
    const token = this.peek();
    if (token === undefined || (expected !== undefined && token !== expected)) this.fail(`expected ${expected ?? 'a token'}`);
    this.at += 1;
    return token;
  }

  /** Passes over everything up to the token. */
  skip(last) {
    while (this.tokens[this.at] !== undefined && this.peek() !== last) this.at += 1;
    this.take(last);
  }

  type() {
    const name = this.take();
    if (PRIMITIVES.has(name)) return name;
    if (name === 'list' || name === 'option') {
      this.take('<');
      const inner = this.type();
      this.take('>');
      return { [name]: inner };
    }
    if (name === 'tuple') {
      const items = [];
      do {
        this.take();
        items.push(this.type());
      } while (this.peek() === ',');
      this.take('>');
      return { tuple: items };
    }
    return { named: name };
  }

  /** Items between brackets, separated by commas. */
  items(open, close, item) {
    const found = [];
    this.take(open);
    for (;;) {
      const docs = this.docs();
      if (this.peek() === close) break;
      found.push({ ...item(), ...(docs && { docs }) });
      this.docs();
      if (this.peek() !== ',') break;
      this.take(',');
    }
    this.docs();
    this.take(close);
    return found;
  }

  field() {
    const name = this.take();
    this.take(':');
    return { name, type: this.type() };
  }

  variantCase() {
    const name = this.take();
    if (this.peek() !== '(') return { name };
    this.take('(');
    const type = this.type();
    this.take(')');
    return { name, type };
  }

  /** `result<T, error>`; undefined if T is `_`. */
  result() {
    this.take('->');
    this.take('result');
    this.take('<');
    let type;
    if (this.peek() === '_') this.take();
    else type = this.type();
    this.take(',');
    this.take('error');
    this.take('>');
    return type;
  }

  interface(name) {
    this.skip('interface');
    this.take(name);
    this.take('{');
    for (;;) {
      const docs = this.docs();
      const word = this.take();
      if (word === '}') return;
      if (word === 'use') {
        this.skip(';');
      } else if (word === 'type') {
        const alias = this.take();
        this.take('=');
        this.types[alias] = { kind: 'alias', type: this.type(), docs };
        this.take(';');
      } else if (word === 'record') {
        this.types[this.take()] = { kind: 'record', docs, fields: this.items('{', '}', () => this.field()) };
      } else if (word === 'variant' || word === 'enum') {
        const named = this.take();
        // The tracker's error is not a value that a call takes or returns.
        const cases = this.items('{', '}', () => this.variantCase());
        if (named !== 'error') this.types[named] = { kind: word, docs, cases };
      } else {
        this.take(':');
        this.take('func');
        const params = this.items('(', ')', () => this.field());
        const result = this.result();
        this.take(';');
        this.functions.push({ name: word, camelName: camel(word), section: this.section, docs, params, ...(result && { result }) });
      }
    }
  }
}

/** The functions and types of the tracker's interface. */
export function readInterface(trackerWit, typesWit) {
  const tracker = new Reader(trackerWit, 'tracker.wit');
  tracker.interface('tracker');
  const types = new Reader(typesWit, 'types.wit');
  types.interface('types');
  return { functions: tracker.functions, types: { ...types.types, ...tracker.types } };
}
