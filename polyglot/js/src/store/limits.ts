/**
 * What an instance of the component may use of the store: the budgets of
 * `host/src/store/limits.rs` that a JavaScript host can keep. JavaScript can
 * neither interrupt a call nor limit the memory of an instance to less than the
 * 4 GiB of WebAssembly; for a component that is not trusted use the native host.
 */
export interface Limits {
  /** Open transactions of an instance. */
  readonly transactions: number;
  /** Entries of one scan page. */
  readonly scanEntries: number;
  /** Bytes of one scan page and of one `get-many` answer. */
  readonly scanBytes: number;
  /** Length of a value in bytes. */
  readonly valueSize: number;
  /** Bytes of the operations of one write transaction, which are kept to be written again when the map grows. */
  readonly transactionBytes: number;
  /** Tables of a guest. */
  readonly tables: number;
}

/** The limits of the native host. */
export const DEFAULT_LIMITS: Limits = {
  transactions: 8,
  scanEntries: 65_536,
  scanBytes: 4 << 20,
  valueSize: 64 << 20,
  transactionBytes: 1 << 30,
  tables: 64,
};
