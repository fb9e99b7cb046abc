/** What comes again and again is few, or comes once from whoever tries everything. */
const MOST = 512;
/** Nobody's honest host, address or name is longer; what is may be as long as a head. */
const LONGEST = 300;

/**
 * The same function, but for an answer that it gave a short while ago: it keeps parsing off the hot path, in bounded memory
 * whatever is asked. What came to nothing, undefined, is not kept.
 * @param work its answer depends on the text alone.
 * @param most answers that are kept; when there are more, all are worked out again.
 */
export function remembering<T>(work: (text: string) => T, most = MOST): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const answer = work(text);
    if (answer === undefined || text.length > LONGEST) return answer;
    if (known.size >= most) known.clear();
    known.set(text, answer);
    return answer;
  };
}
