/** A map that knows which of its keys has gone unused for longest, at a constant cost for each call. */
export type RecencyMap<V> = {
  /** Makes the key the most recent one. */
  get(key: string): V | undefined;
  /** Makes the key the most recent one. */
  set(key: string, value: V): void;
  delete(key: string): void;
  /** The least recent one, which stays so. */
  oldest(): { readonly key: string; readonly value: V } | undefined;
  readonly size: number;
  /** All of them, without making any the most recent one. */
  entries(): Iterable<readonly [key: string, value: V]>;
};

export function createRecencyMap<V>(): RecencyMap<V> {
  /** In the order in which they were last used. */
  const values = new Map<string, V>();
  // To begin anew for each oldest one would be quadratic: JavaScriptCore walks over all that were deleted at the beginning.
  const inOrder = values.keys();
  /** What the iterator came to last, if it is still there. All others are ahead of it. */
  let oldest: string | undefined;
  let newest: string | undefined;

  function remove(key: string): void {
    values.delete(key);
    if (key === oldest) oldest = undefined;
    if (key === newest) newest = undefined;
  }

  function set(key: string, value: V): void {
    if (key !== newest) remove(key);
    values.set(key, value);
    newest = key;
  }

  return {
    get(key) {
      const value = values.get(key);
      if (value !== undefined) set(key, value);
      return value;
    },

    set,
    delete: remove,

    oldest() {
      // At its end an iterator would stay there.
      if (oldest === undefined && values.size > 0) oldest = inOrder.next().value;
      return oldest === undefined ? undefined : { key: oldest, value: values.get(oldest) as V };
    },

    entries: () => values.entries(),

    get size() {
      return values.size;
    },
  };
}
