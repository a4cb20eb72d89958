/**
 * An engine in memory: ordered maps as B+ trees whose nodes are never changed
 * once they are committed, so that a snapshot is a reference to a root. For
 * browsers, tests and stores that need not last.
 */

import {
  type Engine,
  type EngineTransaction,
  type Handle,
  type Op,
  type Range,
  StoreError,
  type Visitor,
} from './engine.js';

/** Entries of a leaf, children of a branch. */
const MOST = 64;
/** A node with fewer is joined with a neighbour if both fit into one. */
const FEW = 16;

/** Whoever created a node may change it: the write transaction that runs. */
type Owner = object;

interface Leaf {
  readonly owner: Owner;
  readonly keys: Uint8Array[];
  readonly values: Uint8Array[];
}

/** `keys[i]` is no greater than the first key of `children[i]`, and greater than all keys before it. */
interface Branch {
  readonly owner: Owner;
  readonly keys: Uint8Array[];
  readonly children: Node[];
}

type Node = Leaf | Branch;

/** A table: its tree and how many entries it has. */
interface Tree {
  readonly root: Node;
  readonly size: number;
}

const NOBODY: Owner = {};
const EMPTY: Tree = { root: { owner: NOBODY, keys: [], values: [] }, size: 0 };
const NO_BYTES = new Uint8Array();

const isLeaf = (node: Node): node is Leaf => 'values' in node;

/** The order of keys: by unsigned bytes, a shorter key before a longer one that begins with it. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The position of the first key that is not smaller. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as Uint8Array, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The child that a key is in, or would be. */
function childOf(keys: readonly Uint8Array[], key: Uint8Array): number {
  const position = lowerBound(keys, key);
  const found = keys[position];
  return found !== undefined && compareBytes(found, key) === 0 ? position : Math.max(0, position - 1);
}

function lookUp(node: Node, key: Uint8Array): Uint8Array | undefined {
  while (!isLeaf(node)) node = node.children[childOf(node.keys, key)] as Node;
  const position = lowerBound(node.keys, key);
  const found = node.keys[position];
  return found !== undefined && compareBytes(found, key) === 0 ? node.values[position] : undefined;
}

/** Visits keys from `start` to before `end`; false if the visitor or the end stopped it. */
function ascend(node: Node, start: Uint8Array, end: Uint8Array, visit: Visitor): boolean {
  if (isLeaf(node)) {
    const { keys, values } = node;
    for (let index = lowerBound(keys, start); index < keys.length; index++) {
      const key = keys[index] as Uint8Array;
      if (end.length > 0 && compareBytes(key, end) >= 0) return false;
      if (!visit(key, values[index] as Uint8Array)) return false;
    }
    return true;
  }
  const first = childOf(node.keys, start);
  for (let index = first; index < node.children.length; index++) {
    if (!ascend(node.children[index] as Node, index === first ? start : NO_BYTES, end, visit)) return false;
  }
  return true;
}

/** Visits keys from before `end` down to `start`; false if the visitor or the start stopped it. */
function descend(node: Node, start: Uint8Array, end: Uint8Array, visit: Visitor): boolean {
  if (isLeaf(node)) {
    const { keys, values } = node;
    for (let index = (end.length > 0 ? lowerBound(keys, end) : keys.length) - 1; index >= 0; index--) {
      const key = keys[index] as Uint8Array;
      if (compareBytes(key, start) < 0) return false;
      if (!visit(key, values[index] as Uint8Array)) return false;
    }
    return true;
  }
  const last = end.length > 0 ? childOf(node.keys, end) : node.children.length - 1;
  for (let index = last; index >= 0; index--) {
    if (!descend(node.children[index] as Node, start, index === last ? end : NO_BYTES, visit)) return false;
  }
  return true;
}

/** Changes a tree. Nodes of other owners are copied first. */
class Editor {
  #root: Node;
  #size: number;

  constructor(
    private readonly owner: Owner,
    tree: Tree,
  ) {
    this.#root = tree.root;
    this.#size = tree.size;
  }

  get tree(): Tree {
    return { root: this.#root, size: this.#size };
  }

  put(key: Uint8Array, value: Uint8Array): void {
    // Copies: what is given is a part of a larger buffer.
    const [root, sibling] = this.#put(this.#root, key.slice(), value.slice());
    this.#root = sibling === undefined ? root : this.#branch([firstKey(root), firstKey(sibling)], [root, sibling]);
  }

  delete(key: Uint8Array): void {
    if (lookUp(this.#root, key) === undefined) return;
    this.#size -= 1;
    this.#root = this.#delete(this.#root, key);
    while (!isLeaf(this.#root) && this.#root.children.length === 1) this.#root = this.#root.children[0] as Node;
  }

  #branch(keys: Uint8Array[], children: Node[]): Branch {
    return { owner: this.owner, keys, children };
  }

  #own<N extends Node>(node: N): N {
    if (node.owner === this.owner) return node;
    const { owner } = this;
    const keys = node.keys.slice();
    return (isLeaf(node)
      ? { owner, keys, values: node.values.slice() }
      : { owner, keys, children: node.children.slice() }) as Node as N;
  }

  /** The node with the entry, and what did not fit into it. */
  #put(shared: Node, key: Uint8Array, value: Uint8Array): [Node, Node?] {
    const node = this.#own(shared);
    if (isLeaf(node)) {
      const position = lowerBound(node.keys, key);
      const found = node.keys[position];
      if (found !== undefined && compareBytes(found, key) === 0) {
        node.values[position] = value;
      } else {
        this.#size += 1;
        node.keys.splice(position, 0, key);
        node.values.splice(position, 0, value);
      }
    } else {
      const position = childOf(node.keys, key);
      const [child, sibling] = this.#put(node.children[position] as Node, key, value);
      node.children[position] = child;
      if (compareBytes(key, node.keys[position] as Uint8Array) < 0) node.keys[position] = key;
      if (sibling !== undefined) {
        node.keys.splice(position + 1, 0, firstKey(sibling));
        node.children.splice(position + 1, 0, sibling);
      }
    }
    return node.keys.length > MOST ? [node, this.#split(node, key)] : [node];
  }

  /** Takes the upper part of a node away. Keys that arrive in order leave full nodes behind. */
  #split(node: Node, key: Uint8Array): Node {
    const appended = compareBytes(key, node.keys[node.keys.length - 1] as Uint8Array) >= 0;
    const at = appended ? node.keys.length - 1 : node.keys.length >>> 1;
    const keys = node.keys.splice(at);
    return isLeaf(node)
      ? { owner: this.owner, keys, values: node.values.splice(at) }
      : this.#branch(keys, node.children.splice(at));
  }

  /** The node without an entry, which is there. */
  #delete(shared: Node, key: Uint8Array): Node {
    const node = this.#own(shared);
    if (isLeaf(node)) {
      const position = lowerBound(node.keys, key);
      node.keys.splice(position, 1);
      node.values.splice(position, 1);
      return node;
    }
    const position = childOf(node.keys, key);
    const child = this.#delete(node.children[position] as Node, key);
    if (child.keys.length === 0) {
      node.keys.splice(position, 1);
      node.children.splice(position, 1);
      return node;
    }
    node.children[position] = child;
    if (child.keys.length < FEW && node.children.length > 1) this.#join(node, position > 0 ? position - 1 : 0);
    return node;
  }

  /** Joins two neighbours if they fit into one node. */
  #join(parent: Branch, position: number): void {
    const left = parent.children[position] as Node;
    const right = parent.children[position + 1] as Node;
    if (left.keys.length + right.keys.length > MOST) return;
    const joined = this.#own(left);
    joined.keys.push(...right.keys);
    if (isLeaf(joined)) joined.values.push(...(right as Leaf).values);
    else joined.children.push(...(right as Branch).children);
    parent.children[position] = joined;
    parent.keys.splice(position + 1, 1);
    parent.children.splice(position + 1, 1);
  }
}

function firstKey(node: Node): Uint8Array {
  return node.keys[0] as Uint8Array;
}

/** A store in memory. It has one writer at a time; snapshots do not change. */
export class MemoryEngine implements Engine {
  /** LMDB's, so that what is stored here fits there. */
  readonly maxKeySize = 511;
  readonly #handles = new Map<string, Handle>();
  #tables: readonly Tree[] = [];
  #writer: MemoryTransaction | undefined;

  openTables(names: readonly string[]): Handle[] {
    const [owner] = names;
    if (owner !== undefined && this.#handles.size > 0 && !this.#handles.has(owner)) {
      throw new StoreError({ tag: 'foreign' }, `the store has tables, but none called ${JSON.stringify(owner)}`);
    }
    return names.map((name) => {
      const known = this.#handles.get(name);
      if (known !== undefined) return known;
      const handle = this.#tables.length;
      this.#handles.set(name, handle);
      this.#tables = [...this.#tables, EMPTY];
      return handle;
    });
  }

  get(table: Handle, key: Uint8Array): Uint8Array | undefined {
    return lookUp((this.#tables[table] ?? EMPTY).root, key);
  }

  beginRead(): EngineTransaction {
    return new MemoryTransaction(this.#tables, undefined);
  }

  beginWrite(): EngineTransaction {
    if (this.#writer !== undefined) {
      // Waiting would be waiting for oneself: there is one thread.
      throw StoreError.closed('there is a write transaction on this store already; end the batch first');
    }
    this.#writer = new MemoryTransaction(this.#tables, (committed) => {
      this.#writer = undefined;
      if (committed !== undefined) this.#tables = committed;
    });
    return this.#writer;
  }

  close(): void {
    this.#writer?.abort();
    this.#tables = [];
    this.#handles.clear();
  }
}

/** Takes the tables of a write transaction that was committed, or nothing. */
type Ended = (committed: readonly Tree[] | undefined) => void;

class MemoryTransaction implements EngineTransaction {
  readonly #owner: Owner = {};
  #tables: readonly Tree[];
  /** None in a read transaction, and after the end. */
  #ended: Ended | undefined;

  constructor(tables: readonly Tree[], ended: Ended | undefined) {
    this.#tables = tables;
    this.#ended = ended;
  }

  #tree(table: Handle): Tree {
    return this.#tables[table] ?? EMPTY;
  }

  get(table: Handle, key: Uint8Array): Uint8Array | undefined {
    return lookUp(this.#tree(table).root, key);
  }

  scan(table: Handle, { start, end, descending }: Range, visit: Visitor): void {
    (descending ? descend : ascend)(this.#tree(table).root, start, end, visit);
  }

  count(table: Handle): number {
    return this.#tree(table).size;
  }

  write(ops: readonly Op[]): void {
    const tables = this.#tables.slice();
    const editors = new Map<Handle, Editor>();
    for (const op of ops) {
      let editor = editors.get(op.table);
      if (editor === undefined || op.kind === 'clear') {
        editor = new Editor(this.#owner, op.kind === 'clear' ? EMPTY : (tables[op.table] ?? EMPTY));
        editors.set(op.table, editor);
      }
      if (op.kind === 'put') editor.put(op.key, op.value);
      else if (op.kind === 'delete') editor.delete(op.key);
    }
    for (const [table, editor] of editors) tables[table] = editor.tree;
    this.#tables = tables;
  }

  #end(committed: readonly Tree[] | undefined): void {
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.(committed);
  }

  commit(): void {
    this.#end(this.#tables);
  }

  abort(): void {
    this.#end(undefined);
  }
}
