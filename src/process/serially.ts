export type Serially = ReturnType<typeof createSerially>;

/**
 * Runs one piece of work after the other, in the order of asking. One that fails does not keep the next from running.
 * @param first what comes before all of them.
 */
export function createSerially(first: Promise<unknown> = Promise.resolve()) {
  let last = first;
  return <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}
