/**
 * What is loaded when it is first used, and not again: a part of the program that many who run it never need, and no start
 * should wait for.
 * @param load is called once; again after it has failed.
 */
export function atFirstUse<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
}
