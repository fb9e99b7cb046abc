/**
 * Does one thing after the other, in the order of asking. One that fails is no matter to the next.
 * @param first what comes before all of them.
 */
export function createTurns(first: Promise<unknown> = Promise.resolve()) {
  let last = first;
  return <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}
