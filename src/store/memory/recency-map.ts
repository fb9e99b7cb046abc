/**
 * A map that knows which of its keys has gone unused for longest, at a constant cost for each call.
 *
 * The common way, deleting and re-inserting a key in a `Map` and taking the first one as the oldest, is quadratic in
 * JavaScriptCore: looking for the first key walks over every deleted one. So the order is a linked list of its own.
 */
export type RecencyMap<V> = {
  /** Makes the key the most recent one. */
  get(key: string): V | undefined;
  /** Makes the key the most recent one. */
  set(key: string, value: V): void;
  delete(key: string): void;
  /** The least recent key, which stays so. */
  oldest(): { readonly key: string; readonly value: V } | undefined;
  readonly size: number;
};

type Node<V> = {
  readonly key: string;
  value: V;
  older: Node<V> | undefined;
  newer: Node<V> | undefined;
};

export function createRecencyMap<V>(): RecencyMap<V> {
  const nodes = new Map<string, Node<V>>();
  let oldest: Node<V> | undefined;
  let newest: Node<V> | undefined;

  function unlink(node: Node<V>): void {
    if (node.older === undefined) oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === undefined) newest = node.older;
    else node.newer.older = node.older;
  }

  function append(node: Node<V>): void {
    node.older = newest;
    node.newer = undefined;
    if (newest === undefined) oldest = node;
    else newest.newer = node;
    newest = node;
  }

  function refresh(node: Node<V>): void {
    if (node === newest) return;
    unlink(node);
    append(node);
  }

  return {
    get(key) {
      const node = nodes.get(key);
      if (node !== undefined) refresh(node);
      return node?.value;
    },

    set(key, value) {
      const node = nodes.get(key);
      if (node !== undefined) {
        node.value = value;
        refresh(node);
        return;
      }
      const added: Node<V> = { key, value, older: undefined, newer: undefined };
      nodes.set(key, added);
      append(added);
    },

    delete(key) {
      const node = nodes.get(key);
      if (node === undefined) return;
      nodes.delete(key);
      unlink(node);
    },

    oldest: () => oldest,

    get size() {
      return nodes.size;
    },
  };
}
